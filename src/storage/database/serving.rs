//! Which model serves: what was found of each decides, and an operator, who pins a model, unpins it, or takes it back.
//!
//! Whoever changes what serves holds the count of the patient and movement, as all do who change what is learned.

use super::jobs::Fence;
use super::models::{read_model, read_version, serving};
use super::patients::read_patient_id;
use super::recordings::read_movement;
use super::{Database, ModelRow, Result, Transaction, statements};
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
    /// It was not pinned.
    NotPinned,
}

statements! {
    MODEL_SUBJECT = shared(
        "SELECT patient_id, movement, retired_at IS NOT NULL AS retired FROM models WHERE model_version = $1",
    );
    LOCK_COUNT = shared(
        "INSERT INTO training_counts (patient_id, movement, recordings) VALUES ($1, $2, 0)
         ON CONFLICT (patient_id, movement) DO UPDATE SET recordings = training_counts.recordings",
    );
    UNPIN_ALL = shared("UPDATE models SET pinned = false WHERE patient_id = $1 AND movement = $2 AND pinned");
    UNPIN = shared("UPDATE models SET pinned = false WHERE model_version = $1 AND pinned AND retired_at IS NULL");
    PIN = shared("UPDATE models SET pinned = true WHERE model_version = $1 AND retired_at IS NULL");
    WITHDRAW = shared(
        "UPDATE models SET made_provisional = is_provisional, verdict = 'withdrawn', pinned = false
         WHERE model_version = $1 AND retired_at IS NULL",
    );
    SERVING_MODEL = shared(concat!(
        "SELECT model_version, artifact_key, artifact_digest, is_provisional, lowest_score, highest_score,
                outdated_at IS NOT NULL AS outdated
         FROM models WHERE model_version = ",
        serving!("$1", "$2")
    ));
    SERVING_VERSION = shared(concat!("SELECT ", serving!("$1", "$2"), " AS model_version"));
    OUTDATED_ARTIFACTS = shared(
        "SELECT artifact_key FROM models
         WHERE patient_id = $1 AND movement = $2 AND outdated_at IS NOT NULL AND retired_at IS NULL",
    );
    RETIRE_OUTDATED = shared(
        "UPDATE models SET retired_at = $1
         WHERE patient_id = $2 AND movement = $3 AND outdated_at IS NOT NULL AND retired_at IS NULL",
    );
    WITHDRAWN_UP_TO = shared(
        "SELECT max(last_ordinal) AS last_ordinal FROM models
         WHERE patient_id = $1 AND movement = $2 AND verdict = 'withdrawn' AND retired_at IS NULL",
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
        transaction.lock_count(&patient, &movement).await?;
        let statement = match decision {
            Decision::Pin => {
                let unpin = transaction.statement(UNPIN_ALL).bind(patient.as_str()).bind(movement.as_str());
                unpin.execute().await?;
                PIN
            }
            Decision::Unpin => UNPIN,
            Decision::Withdraw => WITHDRAW,
        };
        if transaction.statement(statement).bind(version.as_str()).execute().await? == 0 {
            let not_pinned = decision == Decision::Unpin && !row.get::<bool>("retired")?;
            return Ok(if not_pinned { Decided::NotPinned } else { Decided::Retired });
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

    /// Up to which training recording of the patient's own an operator has withdrawn models; `None` where they have none.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn withdrawn_up_to(&self, patient: &PatientId, movement: &Movement) -> Result<Option<i64>> {
        self.read(WITHDRAWN_UP_TO).bind(patient.as_str()).bind(movement.as_str()).one().await?.get("last_ordinal")
    }

    /// The artifacts of a patient's models that serve on although they learned from what was deleted of another patient.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn outdated_artifacts(&self, patient: &PatientId, movement: &Movement) -> Result<Vec<ObjectKey>> {
        let read = self.read(OUTDATED_ARTIFACTS).bind(patient.as_str()).bind(movement.as_str());
        read.all().await?.iter().map(|row| Ok(ObjectKey::from_row(row.get("artifact_key")?))).collect()
    }

    /// Retires those models; where nothing else serves, recordings wait.
    ///
    /// # Errors
    /// When the database cannot; then nothing happened.
    pub async fn retire_outdated(&self, patient: &PatientId, movement: &Movement, now: DateTime<Utc>) -> Result<()> {
        let mut transaction = self.begin_redoable().await?;
        transaction.lock_count(patient, movement).await?;
        let retire = transaction.statement(RETIRE_OUTDATED).bind(now).bind(patient.as_str()).bind(movement.as_str());
        if retire.execute().await? > 0 {
            transaction.follow_serving(patient, movement, now).await?;
        }
        transaction.commit().await
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
        transaction.lock_count(patient, movement).await?;
        transaction.follow_serving(patient, movement, now).await?;
        transaction.commit().await
    }
}

impl Transaction {
    /// Until the end of the transaction nobody else changes what is learned, or serves, for the patient and movement.
    pub(super) async fn lock_count(&mut self, patient: &PatientId, movement: &Movement) -> Result<()> {
        self.statement(LOCK_COUNT).bind(patient.as_str()).bind(movement.as_str()).execute().await?;
        Ok(())
    }
}
