//! Which tests a patient is to do.

use super::{Access, Caller, Effect, Operation, ResolverDeps, ServiceError};
use crate::domain::ids::{Movement, PatientId};
use crate::storage::database::{DatabaseError, TestType};

/// Tests that one answer lists at most.
const MOST_TESTS: u32 = 1_000;

/// The tests that a patient is to do.
pub struct AssignedTests {
    /// Who.
    pub patient: PatientId,
}

impl Operation for AssignedTests {
    const NAME: &'static str = "assigned_tests";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "patient";
    type Answer = Vec<TestType>;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::Patient(self.patient.clone()))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<Vec<TestType>, ServiceError> {
        let tests = deps.database.assigned_tests(&self.patient, MOST_TESTS).await?;
        if tests.is_empty() && deps.database.patient(&self.patient).await?.is_none() {
            return Err(ServiceError::NotFound(Self::SUBJECT));
        }
        Ok(tests)
    }
}

/// A test and who is to do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Who.
    pub patient: PatientId,
    /// What.
    pub test_type: Movement,
}

/// Has a patient do a test; assigned twice is assigned once.
pub struct AssignTest(pub Assignment);

impl Operation for AssignTest {
    const NAME: &'static str = "assign_test";
    const EFFECT: Effect = Effect::Changes;
    const SUBJECT: &'static str = "patient";
    type Answer = Assignment;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::Patient(self.0.patient.clone()))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<Assignment, ServiceError> {
        let Assignment { patient, test_type } = &self.0;
        match deps.database.assign_test(patient, test_type, deps.clock.now()).await {
            Ok(true) => Ok(self.0),
            Ok(false) => Err(ServiceError::NotFound("test type")),
            Err(DatabaseError::MissingReference(_)) => Err(ServiceError::NotFound(Self::SUBJECT)),
            Err(error) => Err(error.into()),
        }
    }
}

/// Takes a test from a patient; one that they did not have is taken already.
pub struct UnassignTest(pub Assignment);

impl Operation for UnassignTest {
    const NAME: &'static str = "unassign_test";
    const EFFECT: Effect = Effect::Changes;
    const SUBJECT: &'static str = "patient";
    type Answer = ();

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::Patient(self.0.patient.clone()))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<(), ServiceError> {
        let Assignment { patient, test_type } = &self.0;
        let had = deps.database.unassign_test(patient, test_type).await?;
        if !had && deps.database.patient(patient).await?.is_none() {
            return Err(ServiceError::NotFound(Self::SUBJECT));
        }
        Ok(())
    }
}
