//! Models: what they are trained from, and which one is a patient's newest.

use super::recordings::{read_digest, read_movement, read_vector};
use super::statement::Row;
use super::{Database, DatabaseError, Result, statements};
use crate::domain::ids::{ModelVersion, Movement, PatientId, TestEventId};
use crate::domain::object_key::ObjectKey;
use crate::storage::objects::Digest;
use chrono::{DateTime, Utc};
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
}

/// A model as the scorer needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelRow {
    /// Its version.
    pub version: ModelVersion,
    /// Where the artifact is.
    pub artifact_key: ObjectKey,
    /// Digest of the artifact.
    pub artifact_digest: Digest,
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
    /// When a recording that it learned from was deleted: it scores none since then.
    pub retired_at: Option<DateTime<Utc>>,
    /// Whether recordings that come now are scored by it: it is the newest of its movement that is not retired.
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

statements! {
    MODELS_OF = shared(
        "SELECT model_version, movement, training_recordings, feature_set, leave_one_out_error, card, created_at,
                retired_at, coalesce(model_version = (
                    SELECT newest.model_version FROM models AS newest
                    WHERE newest.patient_id = models.patient_id AND newest.movement = models.movement
                        AND newest.retired_at IS NULL
                    ORDER BY newest.last_ordinal DESC, newest.generation DESC LIMIT 1), false) AS serves
         FROM models WHERE patient_id = $1 AND ($2 IS NULL OR movement = $2)
         ORDER BY movement, last_ordinal DESC, generation DESC LIMIT $3",
    );
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

pub(super) fn read_model(row: &Row) -> Result<ModelRow> {
    Ok(ModelRow {
        version: read_version(row)?,
        artifact_key: ObjectKey::from_row(row.get("artifact_key")?),
        artifact_digest: read_digest(row.get("artifact_digest")?)?,
    })
}
