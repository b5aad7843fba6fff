//! What follows when another model serves, or none: recordings wait, are queued, or are scored again.

use super::super::models::serving;
use super::super::statement::statements;
use super::super::{Begun, Result, Transaction};
use crate::domain::ids::{Movement, PatientId};
use chrono::{DateTime, Utc};

statements! {
    CALL_FOLLOW_SERVING = only_postgres("SELECT follow_serving($1, $2, $3) AS waited");
    SERVING_IS_PROVISIONAL = only_sqlite(concat!(
        "SELECT is_provisional FROM models WHERE model_version = ",
        serving!("$1", "$2")
    ));
    DROP_SCORINGS = only_sqlite(
        "DELETE FROM jobs WHERE kind = 'score' AND subject IN (
             SELECT test_event_id FROM recordings WHERE patient_id = $1 AND movement = $2 AND status = 'converted')",
    );
    AWAIT_MODEL = only_sqlite(
        "UPDATE recordings SET status = 'awaiting_model', updated_at = $1
         WHERE patient_id = $2 AND movement = $3 AND status = 'converted'",
    );
    RETIRE_PROVISIONAL = only_sqlite(
        "UPDATE models SET retired_at = $1
         WHERE patient_id = $2 AND movement = $3 AND retired_at IS NULL AND is_provisional",
    );
    AWAIT_OWN_MODEL = only_sqlite(
        "UPDATE recordings SET status = 'awaiting_model', updated_at = $1
         WHERE patient_id = $2 AND movement = $3 AND status = 'scored'
             AND EXISTS (SELECT 1 FROM scores WHERE scores.test_event_id = recordings.test_event_id AND provisional)",
    );
    DROP_PROVISIONAL_SCORES = only_sqlite(
        "DELETE FROM scores WHERE provisional AND test_event_id IN (
             SELECT test_event_id FROM recordings WHERE patient_id = $1 AND movement = $2 AND status = 'awaiting_model')",
    );
    /// A score job for every recording of a patient and movement that waits for a model, in the order in which they came.
    ENQUEUE_WAITING = only_sqlite(
        "INSERT INTO jobs (kind, subject, lane, state, due_at, enqueued_at, position)
         SELECT 'score', test_event_id, lane, 'ready', $3, $3, max(
             coalesce((SELECT max(position) + 1 FROM jobs
                       WHERE kind = 'score' AND jobs.lane = recordings.lane AND state IN ('ready', 'leased')), 0),
             coalesce((SELECT min(position) FROM jobs WHERE kind = 'score' AND state IN ('ready', 'leased')), 0))
             + row_number() OVER (PARTITION BY lane ORDER BY received_at, test_event_id) - 1
         FROM recordings WHERE patient_id = $1 AND movement = $2 AND status = 'awaiting_model'
         ON CONFLICT (kind, subject) DO NOTHING",
    );
    END_WAIT = only_sqlite(
        "UPDATE recordings SET status = 'converted', updated_at = $1
         WHERE patient_id = $2 AND movement = $3 AND status = 'awaiting_model'",
    );
}

impl Transaction {
    /// Recordings follow what serves: where nothing does they wait; where something does, what waited is queued, and where it is a
    /// model of the patient's own, so is what has but a provisional score. How many were queued. The count is locked.
    pub(in crate::storage::database) async fn follow_serving(
        &mut self,
        patient: &PatientId,
        movement: &Movement,
        now: DateTime<Utc>,
    ) -> Result<u64> {
        let (patient, movement) = (patient.as_str(), movement.as_str());
        if let Begun::Postgres(..) = self.begun {
            let follow = self.statement(CALL_FOLLOW_SERVING).bind(patient).bind(movement).bind(now);
            let waited: i64 = follow.one().await?.get("waited")?;
            return Ok(waited.unsigned_abs());
        }
        let serving = self.statement(SERVING_IS_PROVISIONAL).bind(patient).bind(movement).optional().await?;
        let Some(serving) = serving else {
            self.statement(DROP_SCORINGS).bind(patient).bind(movement).execute().await?;
            self.statement(AWAIT_MODEL).bind(now).bind(patient).bind(movement).execute().await?;
            return Ok(0);
        };
        if !serving.get::<bool>("is_provisional")? {
            for statement in [RETIRE_PROVISIONAL, AWAIT_OWN_MODEL] {
                self.statement(statement).bind(now).bind(patient).bind(movement).execute().await?;
            }
            self.statement(DROP_PROVISIONAL_SCORES).bind(patient).bind(movement).execute().await?;
        }
        self.statement(ENQUEUE_WAITING).bind(patient).bind(movement).bind(now).execute().await?;
        self.statement(END_WAIT).bind(now).bind(patient).bind(movement).execute().await
    }
}
