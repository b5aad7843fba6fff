//! Models: what they are trained from, and which one is a patient's newest.

use super::patients::read_patient_id;
use super::recordings::{read_digest, read_movement, read_vector};
use super::statement::Row;
use super::{Database, DatabaseError, Result, statements};
use crate::domain::ids::{ModelVersion, Movement, PatientId, TestEventId};
use crate::domain::object_key::ObjectKey;
use crate::domain::verdict::Verdict;
use crate::storage::objects::Digest;
use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use uuid::Uuid;

/// A model whose artifact is durable.
#[derive(Debug, Clone)]
pub struct NewModel {
    /// Its version.
    pub version: ModelVersion,
    /// Whose.
    pub patient: PatientId,
    /// For which movement.
    pub movement: Movement,
    /// How many training recordings there were.
    pub training_recordings: i64,
    /// The place of the first and the last one that it learned from among the patient's.
    pub first_ordinal: i64,
    /// See [`NewModel::first_ordinal`].
    pub last_ordinal: i64,
    /// How many training recordings had been deleted then.
    pub generation: i64,
    /// Where the artifact is.
    pub artifact_key: ObjectKey,
    /// Digest of the artifact.
    pub artifact_digest: Digest,
    /// Which features it takes.
    pub feature_set: String,
    /// Leave-one-out mean absolute error, points of the score.
    pub leave_one_out_error: f64,
    /// The model card, JSON.
    pub card: String,
    /// Whether it may serve.
    pub verdict: Verdict,
    /// Lowest and highest score of its training recordings.
    pub score_range: Option<(f64, f64)>,
    /// The other patients that it learned from.
    pub sources: Vec<ModelSource>,
}

/// Training recordings of another patient that a model learned from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelSource {
    /// Whose.
    #[serde(serialize_with = "patient_id")]
    pub patient: PatientId,
    /// The place of the first and the last of them among the patient's.
    pub first: i64,
    /// See [`ModelSource::first`].
    pub last: i64,
    /// How many training recordings of the patient had been deleted then.
    pub generation: i64,
}

fn patient_id<S: Serializer>(id: &PatientId, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(id.as_str())
}

/// A model as the scorer needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRow {
    /// Its version.
    pub version: ModelVersion,
    /// Where the artifact is.
    pub artifact_key: ObjectKey,
    /// Digest of the artifact.
    pub artifact_digest: Digest,
    /// Whether it was made without a scored recording of the patient's own.
    pub provisional: bool,
    /// Lowest and highest score of its training recordings, where that was noted.
    pub score_range: Option<(f64, f64)>,
}

/// A training recording with its features.
#[derive(Debug, Clone)]
pub struct TrainingRecording {
    /// Which recording.
    pub id: TestEventId,
    /// Its place among the patient's.
    pub ordinal: i64,
    /// The clinician's score, 0 to 100.
    pub score: f64,
    /// Which features.
    pub feature_set: String,
    /// The features.
    pub features: Vec<f64>,
}

/// What is known of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownModel {
    /// Its version.
    pub version: ModelVersion,
    /// For which movement.
    pub movement: Movement,
    /// How many training recordings there were when it was trained.
    pub training_recordings: i32,
    /// Which features it takes.
    pub feature_set: String,
    /// Leave-one-out mean absolute error, points of the score.
    pub leave_one_out_error: f64,
    /// The model card, JSON.
    pub card: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Since when it scores none: a recording that it learned from was deleted, or one of the patient's own took a provisional one's
    /// place.
    pub retired_at: Option<DateTime<Utc>>,
    /// What was found of it, or decided since.
    pub verdict: Verdict,
    /// Whether an operator has it serve, whatever comes.
    pub pinned: bool,
    /// Since when a recording of another patient that it learned from is deleted: it serves until it was trained anew.
    pub outdated_at: Option<DateTime<Utc>>,
    /// Whether recordings that come now are scored by it.
    pub serves: bool,
}

/// What a model is made from.
#[derive(Debug, Clone, Default)]
pub struct TrainingRecordings {
    /// The newest of them, oldest first.
    pub newest: Vec<TrainingRecording>,
    /// How many there are.
    pub count: i64,
    /// How many had been deleted.
    pub generation: i64,
}

/// The version that serves a patient and a movement: what is pinned, or else the newest that may, one's own before a provisional
/// one. As the function `serving_model` of PostgreSQL's schema, which would be planned apart in a statement.
macro_rules! serving {
    ($patient:literal, $movement:literal) => {
        concat!(
            "(SELECT serving.model_version FROM models AS serving
              WHERE serving.patient_id = ",
            $patient,
            " AND serving.movement = ",
            $movement,
            " AND serving.retired_at IS NULL AND (serving.pinned OR serving.verdict IN ('serves', 'provisional'))
              ORDER BY serving.pinned DESC, serving.verdict = 'serves' DESC, serving.last_ordinal DESC, serving.generation DESC,
                  serving.created_at DESC, serving.model_version LIMIT 1)"
        )
    };
}
pub(super) use serving;

/// What is known of the models of which something holds.
macro_rules! known_models {
    ($of_which:literal) => {
        concat!(
            "SELECT patient_id, model_version, movement, training_recordings, feature_set, leave_one_out_error, card, created_at,
                    retired_at, verdict, pinned, outdated_at, coalesce(model_version = ",
            serving!("models.patient_id", "models.movement"),
            ", false) AS serves
             FROM models WHERE ",
            $of_which
        )
    };
}

/// Asks for a provisional model with one recording of each patient who waits for one, in a list as the database takes it best.
macro_rules! ask_for_provisional {
    ($open:literal, $close:literal) => {
        concat!(
            "INSERT INTO jobs (kind, subject, lane, state, due_at, enqueued_at, position)
         SELECT 'train', test_event_id, lane, 'ready', $3, $3, coalesce(
             (SELECT max(position) FROM jobs WHERE kind = 'train' AND state IN ('ready', 'leased')), 0) + 1
         FROM recordings WHERE test_event_id ",
            $open,
            "
             SELECT (SELECT test_event_id FROM recordings AS waiting
                     WHERE waiting.patient_id = patient_care_providers.patient_id AND waiting.movement = $2
                         AND waiting.status = 'awaiting_model' AND waiting.lane = $1
                     ORDER BY received_at DESC LIMIT 1)
             FROM patient_care_providers WHERE care_provider_id = $1 AND NOT EXISTS (
                 SELECT 1 FROM patient_care_providers AS elsewhere
                 WHERE elsewhere.patient_id = patient_care_providers.patient_id AND elsewhere.care_provider_id <> $1)",
            $close,
            "
         ORDER BY test_event_id ON CONFLICT (kind, subject) DO NOTHING"
        )
    };
}

statements! {
    MODELS_OF = shared(known_models!(
        "patient_id = $1 AND ($2 IS NULL OR movement = $2)
         ORDER BY movement, last_ordinal DESC, generation DESC, created_at DESC LIMIT $3"
    ));
    KNOWN_MODEL = shared(known_models!("model_version = $1"));
    /// Others of the care provider who have enough to say, those first who have the most. None where the patient is not of that care
    /// provider, or of another as well, who would see what was learned.
    TEACHERS = shared(
        "SELECT other.patient_id AS patient_id FROM patient_care_providers AS own
             JOIN patient_care_providers AS other ON other.care_provider_id = own.care_provider_id
                 AND other.patient_id <> own.patient_id
             JOIN training_counts ON training_counts.patient_id = other.patient_id AND training_counts.movement = $3
                 AND recordings >= 3
         WHERE own.patient_id = $1 AND own.care_provider_id = $2
             AND NOT EXISTS (SELECT 1 FROM patient_care_providers AS elsewhere
                             WHERE elsewhere.patient_id = $1 AND elsewhere.care_provider_id <> $2)
         ORDER BY recordings DESC, other.patient_id LIMIT $4",
    );
    /// One for each patient of a care provider who has recordings that wait for a model.
    ASK_FOR_PROVISIONAL = each(ask_for_provisional!("IN (", ")"), ask_for_provisional!("= ANY (ARRAY(", "))"));
    TRAINING_RECORDINGS = shared(
        "SELECT test_event_id, training_ordinal, clinic_score, feature_set, vector, generation,
                (SELECT count(*) FROM recordings AS all_of_them
                 WHERE patient_id = $1 AND movement = $2 AND training_ordinal BETWEEN 1 AND $3) AS counted
         FROM training_counts
             JOIN recordings ON recordings.patient_id = $1 AND recordings.movement = $2
                 AND training_ordinal BETWEEN 1 AND $3
             JOIN features USING (test_event_id)
         WHERE training_counts.patient_id = $1 AND training_counts.movement = $2
         ORDER BY training_ordinal DESC LIMIT $4",
    );
}

impl NewModel {
    /// Its sources, as statements take them.
    pub(super) fn sources_as_json(&self) -> Result<String> {
        serde_json::to_string(&self.sources).map_err(|_| DatabaseError::Corrupt("sources of a model"))
    }
}

impl Database {
    /// A patient's models, by movement and the newest first, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn models_of(
        &self,
        patient: &PatientId,
        movement: Option<&Movement>,
        limit: u32,
    ) -> Result<Vec<KnownModel>> {
        let read = self.read(MODELS_OF).bind(patient.as_str()).bind(movement.map(Movement::as_str)).bind(limit);
        read.all().await?.iter().map(read_known_model).collect()
    }

    /// The model of that version, and whose it is.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn known_model(&self, version: &ModelVersion) -> Result<Option<(PatientId, KnownModel)>> {
        let row = self.read(KNOWN_MODEL).bind(version.as_str()).optional().await?;
        row.map(|row| Ok((read_patient_id(&row)?, read_known_model(&row)?))).transpose()
    }

    /// The other patients of a care provider from whom a patient's models may learn: at most `limit`, those first who have the most
    /// training recordings of the movement. None where the patient is not the care provider's, or another's as well.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn teachers(
        &self,
        patient: &PatientId,
        care_provider: &str,
        movement: &Movement,
        limit: u32,
    ) -> Result<Vec<PatientId>> {
        let read = self.read(TEACHERS).bind(patient.as_str()).bind(care_provider).bind(movement.as_str());
        read.bind(limit).all().await?.iter().map(read_patient_id).collect()
    }

    /// Asks for a provisional model for each patient of a care provider whose recordings of a movement wait for one; how many.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn ask_for_provisional(
        &self,
        care_provider: &str,
        movement: &Movement,
        now: DateTime<Utc>,
    ) -> Result<u64> {
        self.write_redoable(ASK_FOR_PROVISIONAL).bind(care_provider).bind(movement.as_str()).bind(now).execute().await
    }

    /// A patient's training recordings of a movement up to the one at that place, and the newest `limit` of them.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn training_recordings(
        &self,
        patient: &PatientId,
        movement: &Movement,
        last_ordinal: i64,
        limit: u32,
    ) -> Result<TrainingRecordings> {
        let read = self.read(TRAINING_RECORDINGS).bind(patient.as_str()).bind(movement.as_str());
        let rows = read.bind(last_ordinal).bind(limit).all().await?;
        let Some(first) = rows.first() else { return Ok(TrainingRecordings::default()) };
        let (count, generation) = (first.get("counted")?, first.get("generation")?);
        let newest = rows.iter().rev().map(read_training_recording).collect::<Result<_>>()?;
        Ok(TrainingRecordings { newest, count, generation })
    }
}

fn read_known_model(row: &Row) -> Result<KnownModel> {
    Ok(KnownModel {
        version: read_version(row)?,
        movement: read_movement(row)?,
        training_recordings: row.get("training_recordings")?,
        feature_set: row.get("feature_set")?,
        leave_one_out_error: row.get("leave_one_out_error")?,
        card: row.get("card")?,
        created_at: row.get("created_at")?,
        retired_at: row.get("retired_at")?,
        verdict: read_verdict(row)?,
        pinned: row.get("pinned")?,
        outdated_at: row.get("outdated_at")?,
        serves: row.get("serves")?,
    })
}

pub(super) fn read_version(row: &Row) -> Result<ModelVersion> {
    ModelVersion::new(row.get::<String>("model_version")?).map_err(|_| DatabaseError::Corrupt("model version"))
}

fn read_training_recording(row: &Row) -> Result<TrainingRecording> {
    Ok(TrainingRecording {
        id: row.get::<Uuid>("test_event_id")?.into(),
        ordinal: row.get("training_ordinal")?,
        score: row.get("clinic_score")?,
        feature_set: row.get("feature_set")?,
        features: read_vector(&row.get::<Vec<u8>>("vector")?),
    })
}

fn read_verdict(row: &Row) -> Result<Verdict> {
    Verdict::from_name(&row.get::<String>("verdict")?).ok_or(DatabaseError::Corrupt("verdict"))
}

pub(super) fn read_model(row: &Row) -> Result<ModelRow> {
    let (lowest, highest): (Option<f64>, Option<f64>) = (row.get("lowest_score")?, row.get("highest_score")?);
    Ok(ModelRow {
        version: read_version(row)?,
        artifact_key: ObjectKey::from_row(row.get("artifact_key")?),
        artifact_digest: read_digest(row.get("artifact_digest")?)?,
        provisional: row.get("is_provisional")?,
        score_range: lowest.zip(highest),
    })
}
