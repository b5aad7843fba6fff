//! Models by name: what clients of the inference server call all versions of a patient's models for a movement. A name is random.

use super::models::{read_model, read_version, serving};
use super::patients::read_patient_id;
use super::statement::Row;
use super::{Database, DatabaseError, ModelRow, Result, statements};
use crate::domain::access::ModelScope;
use crate::domain::ids::{ModelName, ModelVersion, Movement, PatientId};

/// A model that may be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedModel {
    /// Whose.
    pub patient: PatientId,
    /// Its version and its artifact.
    pub model: ModelRow,
}

/// A version of a model, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedModel {
    /// Its name.
    pub name: ModelName,
    /// Whose.
    pub patient: PatientId,
    /// Its version.
    pub version: ModelVersion,
    /// Whether a recording that it learned from was deleted: it scores none.
    pub retired: bool,
}

/// The versions of the models of a page of names; `$1`: after which name, `$2`: names at most, `$3`: versions at most.
macro_rules! index {
    ($names:expr) => {
        concat!(
            "SELECT model_name, patient_id, model_version, retired_at IS NOT NULL AS retired
             FROM (",
            $names,
            " ORDER BY model_name LIMIT $2) AS page JOIN models USING (patient_id, movement)
             ORDER BY model_name, last_ordinal DESC, generation DESC, created_at DESC LIMIT $3"
        )
    };
}

statements! {
    NAME_MODEL = shared(
        "INSERT INTO model_names (model_name, patient_id, movement) VALUES ($1, $2, $3)
         ON CONFLICT (patient_id, movement) DO NOTHING",
    );
    NAMED_MODEL = shared(concat!(
        "SELECT patient_id, model_version, artifact_key, artifact_digest, is_provisional, lowest_score, highest_score
         FROM model_names JOIN models USING (patient_id, movement)
         WHERE model_name = $1 AND retired_at IS NULL AND model_version = coalesce($2, ",
        serving!("model_names.patient_id", "model_names.movement"),
        ")"
    ));
    MODEL_VERSIONS = shared(
        "SELECT model_name, patient_id, model_version, retired_at IS NOT NULL AS retired FROM model_names
             JOIN models USING (patient_id, movement)
         WHERE model_name = $1 ORDER BY last_ordinal DESC, generation DESC, created_at DESC LIMIT $2",
    );
    ALL_MODELS = shared(index!("SELECT model_name, patient_id, movement FROM model_names WHERE model_name > $1"));
    /// By the links, which are few, and not by the names.
    MODELS_OF_PATIENTS_OF = shared(index!(
        "SELECT model_name, patient_id, movement FROM patient_care_providers JOIN model_names USING (patient_id)
         WHERE care_provider_id = $4 AND model_name || '' > $1"
    ));
    MODELS_OF_ONE = shared(index!(
        "SELECT model_name, patient_id, movement FROM model_names WHERE patient_id = $4 AND model_name > $1"
    ));
}

impl Database {
    /// Names the models of a patient and a movement, where they have no name yet.
    ///
    /// # Errors
    /// When the database cannot do it.
    pub async fn name_model(&self, name: &ModelName, patient: &PatientId, movement: &Movement) -> Result<()> {
        let write = self.write(NAME_MODEL).bind(name.as_str()).bind(patient.as_str()).bind(movement.as_str());
        write.execute().await?;
        Ok(())
    }

    /// The model of that name and version, where it is not retired, or the one that serves; none where there is none.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn named_model(&self, name: &ModelName, version: Option<&ModelVersion>) -> Result<Option<NamedModel>> {
        let read = self.read(NAMED_MODEL).bind(name.as_str()).bind(version.map(ModelVersion::as_str));
        let row = read.optional().await?;
        row.map(|row| Ok(NamedModel { patient: read_patient_id(&row)?, model: read_model(&row)? })).transpose()
    }

    /// The versions of a model, the newest first, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn model_versions(&self, name: &ModelName, limit: u32) -> Result<Vec<ListedModel>> {
        let read = self.read(MODEL_VERSIONS).bind(name.as_str()).bind(limit);
        read.all().await?.iter().map(read_listed).collect()
    }

    /// The versions of at most `names` models whose names come after `after`, by name; at most `versions` in all.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn list_models(
        &self,
        scope: &ModelScope,
        after: &str,
        names: u32,
        versions: u32,
    ) -> Result<Vec<ListedModel>> {
        let of = |statement| self.read(statement).bind(after).bind(names).bind(versions);
        let read = match scope {
            ModelScope::Everyone => of(ALL_MODELS),
            ModelScope::PatientsOf(provider) => of(MODELS_OF_PATIENTS_OF).bind(provider.as_str()),
            ModelScope::Of(patient) => of(MODELS_OF_ONE).bind(patient.as_str()),
        };
        read.all().await?.iter().map(read_listed).collect()
    }
}

fn read_listed(row: &Row) -> Result<ListedModel> {
    let name = ModelName::new(row.get::<String>("model_name")?).map_err(|_| DatabaseError::Corrupt("model name"))?;
    Ok(ListedModel { name, patient: read_patient_id(row)?, version: read_version(row)?, retired: row.get("retired")? })
}
