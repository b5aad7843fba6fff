//! Models: what they are trained from, and which one is a patient's newest.

use super::jobs::Fence;
use super::recordings::{read_digest, read_vector};
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
    /// The count that started the training.
    pub training_recordings: i64,
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
#[derive(Debug, Clone)]
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
    /// The clinician's score, 0 to 100.
    pub score: f64,
    /// Which features.
    pub feature_set: String,
    /// The features.
    pub features: Vec<f64>,
}

statements! {
    TRAINING_RECORDINGS = shared(
        "SELECT test_event_id, clinic_score, feature_set, vector FROM recordings JOIN features USING (test_event_id)
         WHERE patient_id = $1 AND movement = $2 AND training_ordinal BETWEEN $3 AND $4 ORDER BY training_ordinal",
    );
    ADD_MODEL = shared(
        "INSERT INTO models (model_version, patient_id, movement, training_recordings, artifact_key, artifact_digest,
                             feature_set, leave_one_out_error, card, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    );
    END_WAIT = shared(
        "UPDATE recordings SET status = 'converted', updated_at = $1
         WHERE patient_id = $2 AND movement = $3 AND status = 'awaiting_model'",
    );
    NEWEST_MODEL = shared(
        "SELECT model_version, artifact_key, artifact_digest FROM models WHERE patient_id = $1 AND movement = $2
         ORDER BY training_recordings DESC LIMIT 1",
    );
}

impl Database {
    /// The newest `limit` of a patient's first `count` training recordings of a movement, in their order.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn training_recordings(
        &self,
        patient: &PatientId,
        movement: &Movement,
        count: i64,
        limit: i64,
    ) -> Result<Vec<TrainingRecording>> {
        let read = self.read(TRAINING_RECORDINGS).bind(patient.as_str()).bind(movement.as_str());
        let rows = read.bind(count - limit + 1).bind(count).all().await?;
        rows.iter()
            .map(|row| {
                Ok(TrainingRecording {
                    id: row.get::<Uuid>("test_event_id")?.into(),
                    score: row.get("clinic_score")?,
                    feature_set: row.get("feature_set")?,
                    features: read_vector(&row.get::<Vec<u8>>("vector")?),
                })
            })
            .collect()
    }

    /// Ends a training: the model's row, and a score job for everything that waited for it.
    ///
    /// # Errors
    /// [`DatabaseError::Fenced`] when the lease is over; then nothing was written.
    pub async fn finish_training(&self, fence: Fence, model: &NewModel, now: DateTime<Utc>) -> Result<u64> {
        let mut transaction = self.begin_redoable().await?;
        transaction.finish(fence).await?;
        // Conversions of this patient and movement that saw no model are committed, or will see it.
        transaction.lock_training_count(&model.patient, &model.movement).await?;
        transaction
            .statement(ADD_MODEL)
            .bind(model.version.as_str())
            .bind(model.patient.as_str())
            .bind(model.movement.as_str())
            .bind(model.training_recordings)
            .bind(model.artifact_key.as_str())
            .bind(&model.artifact_digest.0)
            .bind(&model.feature_set)
            .bind(model.leave_one_out_error)
            .bind(&model.card)
            .bind(now)
            .execute()
            .await?;
        transaction.enqueue_waiting(&model.patient, &model.movement, now).await?;
        let end = transaction.statement(END_WAIT).bind(now).bind(model.patient.as_str());
        let waited = end.bind(model.movement.as_str()).execute().await?;
        transaction.commit().await?;
        Ok(waited)
    }

    /// A patient's newest model for a movement.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn newest_model(&self, patient: &PatientId, movement: &Movement) -> Result<Option<ModelRow>> {
        let row = self.read(NEWEST_MODEL).bind(patient.as_str()).bind(movement.as_str()).optional().await?;
        row.map(|row| {
            Ok(ModelRow {
                version: ModelVersion::new(row.get::<String>("model_version")?)
                    .map_err(|_| DatabaseError::Corrupt("model version"))?,
                artifact_key: ObjectKey::from_row(row.get("artifact_key")?),
                artifact_digest: read_digest(row.get("artifact_digest")?)?,
            })
        })
        .transpose()
    }
}
