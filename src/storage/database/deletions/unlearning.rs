//! What a deleted training recording has taught is taken back.

use super::super::jobs::JobKind;
use super::super::{Result, Transaction, statements};
use super::{DeletionRequest, Objects};
use crate::domain::ids::{ModelVersion, Movement};
use crate::domain::object_key::ObjectKey;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// What a training recording took part in.
pub(super) struct Learned<'a> {
    pub(super) movement: &'a Movement,
    /// Its place among the patient's.
    pub(super) ordinal: i64,
    /// How many of those had been deleted before it.
    pub(super) generation: i64,
    /// Whether it was the subject of a training that was not over.
    pub(super) trained: bool,
}

statements! {
    COUNT_DOWN = shared(
        "UPDATE training_counts SET recordings = recordings - 1, generation = generation + 1
         WHERE patient_id = $1 AND movement = $2 RETURNING recordings",
    );
    RETIRE_MODELS = shared(
        "UPDATE models SET retired_at = $1
         WHERE patient_id = $2 AND movement = $3 AND retired_at IS NULL AND first_ordinal <= $4 AND last_ordinal >= $4
         RETURNING artifact_key",
    );
    TRAININGS = shared(
        "SELECT test_event_id, training_ordinal, fence > 0 AS begun
         FROM recordings JOIN jobs ON kind = 'train' AND subject = test_event_id
         WHERE patient_id = $1 AND movement = $2 AND training_ordinal IS NOT NULL",
    );
    LAST_TRAINING_RECORDING = shared(
        "SELECT test_event_id, training_ordinal FROM recordings
         WHERE patient_id = $1 AND movement = $2 AND training_ordinal IS NOT NULL AND test_event_id <> $3
         ORDER BY training_ordinal DESC LIMIT 1",
    );
    SERVING = shared(
        "SELECT max(last_ordinal) AS last_ordinal FROM models
         WHERE patient_id = $1 AND movement = $2 AND retired_at IS NULL",
    );
    DROP_DEAD_TRAINING = shared("DELETE FROM jobs WHERE kind = 'train' AND subject = $1 AND state = 'dead'");
    /// PostgreSQL takes an array for few, and uses the index.
    DROP_SCORINGS = each(
        "DELETE FROM jobs WHERE kind = 'score' AND subject IN (
             SELECT test_event_id FROM recordings WHERE patient_id = $1 AND movement = $2 AND status = 'converted')",
        "DELETE FROM jobs WHERE kind = 'score' AND subject = ANY (ARRAY(
             SELECT test_event_id FROM recordings WHERE patient_id = $1 AND movement = $2 AND status = 'converted'))",
    );
    AWAIT_MODEL = shared(
        "UPDATE recordings SET status = 'awaiting_model', updated_at = $1
         WHERE patient_id = $2 AND movement = $3 AND status = 'converted'",
    );
}

impl Transaction {
    /// Takes back what a training recording has done: it is not counted, models that learned from it serve no more, and
    /// another is trained from those that remain, where they are enough. The count is locked.
    pub(super) async fn unlearn(
        &mut self,
        request: &DeletionRequest,
        learned: &Learned<'_>,
        objects: &mut Objects,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let (patient, movement) = (request.patient.as_str(), learned.movement.as_str());
        let remaining: i64 = self.statement(COUNT_DOWN).bind(patient).bind(movement).one().await?.get("recordings")?;
        let retire = self.statement(RETIRE_MODELS).bind(now).bind(patient).bind(movement);
        let retired = retire.bind(learned.ordinal).all().await?;
        for model in &retired {
            objects.keys.push(ObjectKey::from_row(model.get("artifact_key")?));
        }
        // What others would make now is refused when it ends; the object that it has put by then must go.
        let trainings = self.statement(TRAININGS).bind(patient).bind(movement).all().await?;
        for training in &trainings {
            let last = training.get::<Uuid>("test_event_id")?.into();
            let version = ModelVersion::of_training(last, training.get("training_ordinal")?, learned.generation);
            objects.keys.push(ObjectKey::model(learned.movement, &request.patient, &version));
            if training.get("begun")? {
                objects.under_way(now + request.grace.training);
            }
        }
        let serving = self.statement(SERVING).bind(patient).bind(movement).one().await?;
        let serving: Option<i64> = serving.get("last_ordinal")?;
        let undone = learned.trained || !retired.is_empty() || !trainings.is_empty();
        if undone && remaining >= request.rule.minimum {
            let last = self.statement(LAST_TRAINING_RECORDING).bind(patient).bind(movement);
            if let Some(last) = last.bind(Uuid::from(request.id)).optional().await?
                && serving.is_none_or(|serving| last.get("training_ordinal").is_ok_and(|last: i64| last > serving))
            {
                let last: Uuid = last.get("test_event_id")?;
                self.statement(DROP_DEAD_TRAINING).bind(last).execute().await?;
                self.enqueue(JobKind::Train, last.into(), now).await?;
            }
        }
        if serving.is_none() {
            self.statement(DROP_SCORINGS).bind(patient).bind(movement).execute().await?;
            self.statement(AWAIT_MODEL).bind(now).bind(patient).bind(movement).execute().await?;
        }
        Ok(())
    }
}
