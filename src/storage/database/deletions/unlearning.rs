//! What a deleted training recording has taught is taken back.

use super::super::jobs::JobKind;
use super::super::models::serving;
use super::super::{Result, Transaction, statements};
use super::{DeletionRequest, Objects};
use crate::domain::ids::{ModelVersion, Movement, PatientId, TestEventId};
use crate::domain::object_key::ObjectKey;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// What a training recording took part in.
pub(super) struct Learned<'a> {
    pub(super) movement: &'a Movement,
    /// Its place among the patient's.
    pub(super) ordinal: i64,
    /// Whether it was the subject of a training that was not over.
    pub(super) trained: bool,
}

/// A training of which an attempt may have put an artifact.
pub(super) struct Begun {
    /// The recording that it was asked for, and its place among the patient's; 0 where it is no training recording.
    pub(super) asked_for: TestEventId,
    pub(super) ordinal: i64,
    pub(super) job: i64,
    /// How often it was leased.
    pub(super) leases: i64,
}

impl Begun {
    /// Where each attempt, of the latest so many, has put its artifact, if it came so far.
    pub(super) fn artifacts(&self, patient: &PatientId, movement: &Movement) -> impl Iterator<Item = ObjectKey> {
        let versions = ModelVersion::of_attempts(self.ordinal, self.asked_for, self.job, self.leases);
        versions.map(move |version| ObjectKey::model(movement, patient, &version))
    }
}

/// A training anew of what serves and learned from what was deleted, with those subjects in a list as the database takes it best.
macro_rules! relearn {
    ($open:literal, $close:literal) => {
        concat!(
            "INSERT INTO jobs (kind, subject, lane, state, due_at, enqueued_at, position)
         SELECT 'train', test_event_id, lane, 'ready', $1, $1, coalesce(
             (SELECT max(position) FROM jobs WHERE kind = 'train' AND state IN ('ready', 'leased')), 0)
             + row_number() OVER (PARTITION BY lane ORDER BY test_event_id)
         FROM recordings WHERE test_event_id ",
            $open,
            "
             SELECT (SELECT newest.test_event_id FROM recordings AS newest
                     WHERE newest.patient_id = models.patient_id AND newest.movement = models.movement
                         AND CASE models.last_ordinal WHEN 0 THEN newest.clinic_score IS NULL
                             ELSE newest.training_ordinal = models.last_ordinal END
                     ORDER BY newest.received_at DESC LIMIT 1)
             FROM model_sources JOIN models USING (model_version)
             WHERE model_sources.patient_id = $2 AND models.movement = $3 AND outdated_at = $1 AND retired_at IS NULL",
            $close,
            "
         ORDER BY test_event_id
         ON CONFLICT (kind, subject) DO UPDATE SET state = 'ready', due_at = excluded.due_at, attempts = 0
         WHERE jobs.state = 'dead'"
        )
    };
}

statements! {
    COUNT_DOWN = shared(
        "UPDATE training_counts SET recordings = recordings - 1, generation = generation + 1
         WHERE patient_id = $1 AND movement = $2 RETURNING recordings",
    );
    /// Those that serve no more already, too, for what they made may be there still.
    RETIRE_MODELS = shared(
        "UPDATE models SET retired_at = coalesce(retired_at, $1)
         WHERE patient_id = $2 AND movement = $3 AND first_ordinal <= $4 AND last_ordinal >= $4
         RETURNING artifact_key",
    );
    TRAININGS = shared(
        "SELECT test_event_id, training_ordinal, job_id, fence
         FROM recordings JOIN jobs ON kind = 'train' AND subject = test_event_id
         WHERE patient_id = $1 AND movement = $2 AND training_ordinal IS NOT NULL",
    );
    LAST_TRAINING_RECORDING = shared(
        "SELECT test_event_id, training_ordinal FROM recordings
         WHERE patient_id = $1 AND movement = $2 AND training_ordinal IS NOT NULL AND test_event_id <> $3
         ORDER BY training_ordinal DESC LIMIT 1",
    );
    LEARNED = shared(
        "SELECT max(last_ordinal) AS last_ordinal FROM models
         WHERE patient_id = $1 AND movement = $2 AND retired_at IS NULL",
    );
    DROP_DEAD_TRAINING = shared("DELETE FROM jobs WHERE kind = 'train' AND subject = $1 AND state = 'dead'");
    /// What serves goes on until it was trained anew; the others are retired. In PostgreSQL in one order, for two deletions may come
    /// upon the same models.
    OUTDATE_MODELS = each(
        concat!(
            "UPDATE models SET outdated_at = $1, retired_at = CASE
                 WHEN retired_at IS NULL AND model_version IS ",
            serving!("models.patient_id", "models.movement"),
            " THEN NULL ELSE coalesce(retired_at, $1) END
             WHERE movement = $2 AND model_version IN (
                 SELECT model_version FROM model_sources
                 WHERE patient_id = $3 AND first_ordinal <= $4 AND last_ordinal >= $4)
             RETURNING artifact_key, retired_at IS NOT NULL AS retired"
        ),
        concat!(
            "UPDATE models SET outdated_at = $1, retired_at = CASE
                 WHEN retired_at IS NULL AND model_version IS NOT DISTINCT FROM ",
            serving!("models.patient_id", "models.movement"),
            " THEN NULL ELSE coalesce(retired_at, $1) END
             WHERE model_version = ANY (ARRAY(
                 SELECT models.model_version FROM model_sources JOIN models USING (model_version)
                 WHERE movement = $2 AND model_sources.patient_id = $3
                     AND model_sources.first_ordinal <= $4 AND model_sources.last_ordinal >= $4
                 ORDER BY models.model_version FOR UPDATE OF models))
             RETURNING artifact_key, retired_at IS NOT NULL AS retired"
        ),
    );
    /// One of which there is nothing to score and nothing to train: nobody would train it anew.
    RETIRE_IDLE = shared(
        "UPDATE models SET retired_at = $1
         WHERE movement = $2 AND outdated_at = $1 AND retired_at IS NULL AND last_ordinal = 0
             AND model_version IN (SELECT model_version FROM model_sources WHERE patient_id = $3)
             AND NOT EXISTS (SELECT 1 FROM recordings
                             WHERE recordings.patient_id = models.patient_id AND recordings.movement = models.movement
                                 AND clinic_score IS NULL)
         RETURNING artifact_key",
    );
    NEXT_UNSCORED = shared(
        "SELECT test_event_id FROM recordings
         WHERE patient_id = $1 AND movement = $2 AND clinic_score IS NULL AND test_event_id <> $3
         ORDER BY received_at DESC LIMIT 1",
    );
    RETIRE_OWN_OUTDATED = shared(
        "UPDATE models SET retired_at = $1
         WHERE patient_id = $2 AND movement = $3 AND outdated_at IS NOT NULL AND retired_at IS NULL RETURNING artifact_key",
    );
    /// Of each of those that serve: the training recording that it ends with, or, where it has none, the latest that the clinician did
    /// not score. One that was given up begins anew.
    RELEARN = each(relearn!("IN (", ")"), relearn!("= ANY (ARRAY(", "))"));
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
        objects.artifacts(&retired)?;
        // What others would make now is refused when it ends; the object that it has put by then must go.
        let trainings = self.statement(TRAININGS).bind(patient).bind(movement).all().await?;
        for training in &trainings {
            let begun = Begun {
                asked_for: training.get::<Uuid>("test_event_id")?.into(),
                ordinal: training.get("training_ordinal")?,
                job: training.get("job_id")?,
                leases: training.get("fence")?,
            };
            if begun.leases > 0 {
                objects.keys.extend(begun.artifacts(&request.patient, learned.movement));
                objects.under_way(now + request.grace.training);
            }
        }
        let last_learned = self.statement(LEARNED).bind(patient).bind(movement).one().await?;
        let last_learned: Option<i64> = last_learned.get("last_ordinal")?;
        let undone = learned.trained || !retired.is_empty() || !trainings.is_empty();
        if undone && remaining >= request.rule.minimum {
            let last = self.statement(LAST_TRAINING_RECORDING).bind(patient).bind(movement);
            if let Some(last) = last.bind(Uuid::from(request.id)).optional().await?
                && last_learned.is_none_or(|learned| last.get("training_ordinal").is_ok_and(|last: i64| last > learned))
            {
                let last: Uuid = last.get("test_event_id")?;
                self.statement(DROP_DEAD_TRAINING).bind(last).execute().await?;
                self.enqueue(JobKind::Train, last.into(), now).await?;
            }
        }
        self.follow_serving(&request.patient, learned.movement, now).await?;
        // Models of other patients that learned from it, too, serve on until they are trained anew, at once. Of those that serve no
        // more the artifacts go now.
        let outdate = self.statement(OUTDATE_MODELS).bind(now).bind(movement).bind(patient).bind(learned.ordinal);
        let outdated = outdate.all().await?;
        for model in &outdated {
            if model.get("retired")? {
                objects.keys.push(ObjectKey::from_row(model.get("artifact_key")?));
            }
        }
        if !outdated.is_empty() {
            self.statement(RELEARN).bind(now).bind(patient).bind(movement).execute().await?;
            let idle = self.statement(RETIRE_IDLE).bind(now).bind(movement).bind(patient).all().await?;
            objects.artifacts(&idle)?;
        }
        Ok(())
    }

    /// The provisional model that a recording was the subject of is asked for with another, or is not needed any more.
    pub(super) async fn pass_training_on(
        &mut self,
        request: &DeletionRequest,
        movement: &Movement,
        objects: &mut Objects,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let (patient, movement) = (request.patient.as_str(), movement.as_str());
        let next = self.statement(NEXT_UNSCORED).bind(patient).bind(movement).bind(Uuid::from(request.id));
        if let Some(next) = next.optional().await? {
            return self.enqueue(JobKind::Train, next.get::<Uuid>("test_event_id")?.into(), now).await;
        }
        let retired = self.statement(RETIRE_OWN_OUTDATED).bind(now).bind(patient).bind(movement).all().await?;
        objects.artifacts(&retired)
    }
}
