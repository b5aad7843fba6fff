//! Test events.

use super::{Access, Caller, Effect, Entry, Operation, ResolverDeps, ServiceError, check_length};
use crate::domain::ids::{PatientId, TestEventId};
use crate::storage::database::{DatabaseError, TestEvent, TestEventFilter, TestResult};

/// Test events that one answer lists at most.
const MOST_EVENTS: u32 = 10_000;
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
        if self.result.doctor_score.is_some_and(|score| !(0..=100).contains(&score)) {
            return Err(ServiceError::Invalid {
                code: "score_out_of_range",
                detail: "doctor_score is 0 to 100".into(),
            });
        }
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
