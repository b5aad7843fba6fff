//! Test events.

use super::{Access, Caller, Effect, Entry, Operation, ResolverDeps, ServiceError, check_length};
use crate::domain::ids::{PatientId, TestEventId};
use crate::storage::database::{DatabaseError, TestEvent, TestEventFilter, TestResult};

/// Test events that one answer lists at most.
pub const MOST_EVENTS: u32 = 10_000;
/// Characters of notes.
const LONGEST_NOTES: usize = 10_000;

/// Makes a test event, or changes it.
pub struct PutTestResult {
    /// The event.
    pub result: TestResult,
}

impl Operation for PutTestResult {
    const NAME: &'static str = "put_test_result";
    const EFFECT: Effect = Effect::Changes;
    const SUBJECT: &'static str = "patient";
    type Answer = TestEvent;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::Patient(self.result.patient.clone()))
    }

    fn about(&self, entry: Entry) -> Entry {
        entry.test_event(Some(self.result.id))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<TestEvent, ServiceError> {
        check_length("notes", self.result.notes.as_deref(), LONGEST_NOTES)?;
        self.result.doctor_score.map_or(Ok(()), |score| check_score("doctor_score", score))?;
        if self.result.end_time < self.result.start_time {
            return Err(ServiceError::Invalid {
                code: "ends_before_it_starts",
                detail: "end_time is not before start_time".into(),
            });
        }
        match deps.database.put_test_result(&self.result, deps.clock.now()).await {
            Ok(Some(event)) => Ok(event),
            Ok(None) => Err(ServiceError::NotFound("test event")),
            Err(DatabaseError::MissingReference(_)) => Err(ServiceError::NotFound(Self::SUBJECT)),
            Err(error) => Err(error.into()),
        }
    }
}

/// Sets the computed score of a test event by hand: what a clinician found against what was computed. A score that is
/// computed later replaces it.
pub struct PutBalanceScore {
    /// Which event.
    pub id: TestEventId,
    /// The score, 0 to 100.
    pub score: i32,
}

impl PutBalanceScore {
    async fn patient(&self, deps: &ResolverDeps) -> Result<PatientId, ServiceError> {
        deps.database.event_patient(self.id).await?.ok_or(ServiceError::NotFound(Self::SUBJECT))
    }
}

impl Operation for PutBalanceScore {
    const NAME: &'static str = "put_balance_score";
    const EFFECT: Effect = Effect::Changes;
    const SUBJECT: &'static str = "test event";
    type Answer = TestEvent;

    /// The row says whose it is.
    async fn access(&self, deps: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::Score(self.patient(deps).await?))
    }

    fn about(&self, entry: Entry) -> Entry {
        entry.test_event(Some(self.id))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<TestEvent, ServiceError> {
        check_score("balance_score", self.score)?;
        let patient = self.patient(deps).await?;
        let scored = deps.database.put_balance_score(self.id, &patient, self.score, deps.clock.now()).await?;
        let scored = scored.ok_or(ServiceError::NotFound(Self::SUBJECT))?;
        deps.updates.publish(self.id, true);
        Ok(scored)
    }
}

/// A patient's test events.
pub struct TestEvents {
    /// Whose.
    pub patient: PatientId,
    /// Which of them.
    pub filter: TestEventFilter,
}

impl Operation for TestEvents {
    const NAME: &'static str = "test_events";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "patient";
    type Answer = Vec<TestEvent>;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::Patient(self.patient.clone()))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<Vec<TestEvent>, ServiceError> {
        if deps.database.patient(&self.patient).await?.is_none() {
            return Err(ServiceError::NotFound(Self::SUBJECT));
        }
        let filter = TestEventFilter { limit: self.filter.limit.min(MOST_EVENTS), ..self.filter };
        Ok(deps.database.test_events(&self.patient, &filter).await?)
    }
}

/// One test event of a patient.
pub struct TestEventById {
    /// Which.
    pub id: TestEventId,
    /// Whose.
    pub patient: PatientId,
}

impl Operation for TestEventById {
    const NAME: &'static str = "test_event_by_id";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "test event";
    type Answer = TestEvent;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::Patient(self.patient.clone()))
    }

    fn about(&self, entry: Entry) -> Entry {
        entry.test_event(Some(self.id))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<TestEvent, ServiceError> {
        deps.database.test_event(self.id, &self.patient).await?.ok_or(ServiceError::NotFound(Self::SUBJECT))
    }
}

fn check_score(field: &str, score: i32) -> Result<(), ServiceError> {
    if (0..=100).contains(&score) {
        return Ok(());
    }
    Err(ServiceError::Invalid { code: "score_out_of_range", detail: format!("{field} is 0 to 100") })
}
