//! Which model serves: what was found of each decides, and an operator, who pins a model, unpins it, or takes it back.
//!
//! Whoever changes what serves holds the count of the patient and movement, as all do who change what is learned.

use super::jobs::Fence;
use super::models::{read_model, read_version, serving};
use super::patients::read_patient_id;
use super::recordings::read_movement;
use super::{Database, ModelRow, Result, statements};
use crate::domain::ids::{ModelVersion, Movement, PatientId};
use crate::domain::object_key::ObjectKey;
use chrono::{DateTime, Utc};

/// What an operator decides of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It serves, whatever comes, and whatever was found of it.
    Pin,
    /// What was found of it counts again.
    Unpin,
    /// It serves no more; the one before does.
    Withdraw,
}

/// What came of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decided {
    /// This version serves now; none where nothing does, and recordings wait.
    Serving(Option<ModelVersion>),
    /// There is no such model.
    NoModel,
    /// It is retired, and serves no more in any case.
    Retired,
}

statements! {
    MODEL_SUBJECT = shared(
        "SELECT patient_id, movement, retired_at IS NOT NULL AS retired FROM models WHERE model_version = $1",
    );
    LOCK_TAUGHT = shared(
        "INSERT INTO training_counts (patient_id, movement, recordings) VALUES ($1, $2, 0)
         ON CONFLICT (patient_id, movement) DO UPDATE SET recordings = training_counts.recordings",
    );
    UNPIN_ALL = shared("UPDATE models SET pinned = false WHERE patient_id = $1 AND movement = $2 AND pinned");
    PIN = shared("UPDATE models SET pinned = true WHERE model_version = $1 AND retired_at IS NULL");
    WITHDRAW = shared(
        "UPDATE models SET verdict = 'withdrawn', pinned = false WHERE model_version = $1 AND retired_at IS NULL",
    );
    SERVING_MODEL = shared(concat!(
        "SELECT model_version, artifact_key, artifact_digest, verdict, lowest_score, highest_score,
                outdated_at IS NOT NULL AS outdated
         FROM models WHERE model_version = ",
        serving!("$1", "$2")
    ));
    SERVING_VERSION = shared(concat!("SELECT ", serving!("$1", "$2"), " AS model_version"));
    /// It is retired once for all: who asks again removes the same artifacts again.
    RETIRE_OUTDATED = shared(
        "UPDATE models SET retired_at = coalesce(retired_at, $1)
         WHERE patient_id = $2 AND movement = $3 AND outdated_at IS NOT NULL RETURNING artifact_key",
    );
}

impl Database {
    /// Does what an operator has decided of a model.
    ///
    /// # Errors
    /// When the database cannot; then nothing happened.
    pub async fn decide(&self, version: &ModelVersion, decision: Decision, now: DateTime<Utc>) -> Result<Decided> {
        let mut transaction = self.begin().await?;
        let row = transaction.statement(MODEL_SUBJECT).bind(version.as_str()).optional().await?;
        let Some(row) = row else { return Ok(Decided::NoModel) };
        let (patient, movement) = (read_patient_id(&row)?, read_movement(&row)?);
        let lock = transaction.statement(LOCK_TAUGHT).bind(patient.as_str()).bind(movement.as_str());
        lock.execute().await?;
        let changed = match decision {
            Decision::Pin | Decision::Unpin => {
                let unpin = transaction.statement(UNPIN_ALL).bind(patient.as_str()).bind(movement.as_str());
                unpin.execute().await?;
                match decision {
                    Decision::Pin => transaction.statement(PIN).bind(version.as_str()).execute().await?,
                    Decision::Unpin | Decision::Withdraw => u64::from(!row.get::<bool>("retired")?),
                }
            }
            Decision::Withdraw => transaction.statement(WITHDRAW).bind(version.as_str()).execute().await?,
        };
        if changed == 0 {
            return Ok(Decided::Retired);
        }
        transaction.follow_serving(&patient, &movement, now).await?;
        let serving =
            transaction.statement(SERVING_VERSION).bind(patient.as_str()).bind(movement.as_str()).one().await?;
        let serving = serving.get::<Option<String>>("model_version")?.map(|_| read_version(&serving)).transpose()?;
        transaction.commit().await?;
        Ok(Decided::Serving(serving))
    }

    /// The model that serves a patient and a movement, and whether it learned from what was deleted of another patient.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn serving_model(&self, patient: &PatientId, movement: &Movement) -> Result<Option<(ModelRow, bool)>> {
        let row = self.read(SERVING_MODEL).bind(patient.as_str()).bind(movement.as_str()).optional().await?;
        row.map(|row| Ok((read_model(&row)?, row.get("outdated")?))).transpose()
    }

    /// Retires the models of a patient and a movement that learned from what was deleted of another patient; the artifacts of all
    /// that ever were.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn retire_outdated(
        &self,
        patient: &PatientId,
        movement: &Movement,
        now: DateTime<Utc>,
    ) -> Result<Vec<ObjectKey>> {
        let retire = self.write(RETIRE_OUTDATED).bind(now).bind(patient.as_str()).bind(movement.as_str());
        retire.all().await?.iter().map(|row| Ok(ObjectKey::from_row(row.get("artifact_key")?))).collect()
    }

    /// Ends a training that makes no model: what waits goes on waiting, and where nothing serves any more all waits.
    ///
    /// # Errors
    /// [`super::DatabaseError::Fenced`] when somebody else has the job by now.
    pub async fn end_training_without_model(
        &self,
        fence: Fence,
        patient: &PatientId,
        movement: &Movement,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let mut transaction = self.begin_redoable().await?;
        transaction.finish(fence).await?;
        let lock = transaction.statement(LOCK_TAUGHT).bind(patient.as_str()).bind(movement.as_str());
        lock.execute().await?;
        transaction.follow_serving(patient, movement, now).await?;
        transaction.commit().await
    }
}
