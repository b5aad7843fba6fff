//! Types of tests.

use super::{Access, Caller, Effect, Operation, ResolverDeps, ServiceError, check_length};
use crate::storage::database::TestType;

/// Types that one answer lists at most.
const MOST_TYPES: u32 = 1_000;
/// Characters of instructions.
const LONGEST_INSTRUCTIONS: usize = 10_000;

/// Adds a type of test, or changes the one with that name.
pub struct AddTestType {
    /// The type.
    pub test_type: TestType,
}

impl Operation for AddTestType {
    const NAME: &'static str = "add_test_type";
    const EFFECT: Effect = Effect::Changes;
    const SUBJECT: &'static str = "test type";
    type Answer = TestType;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::ChangeTestTypes)
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<TestType, ServiceError> {
        check_length("instructions", self.test_type.instructions.as_deref(), LONGEST_INSTRUCTIONS)?;
        if self.test_type.duration_in_seconds.is_some_and(|seconds| seconds <= 0) {
            return Err(ServiceError::Invalid {
                code: "duration_out_of_range",
                detail: "duration_in_seconds is more than 0".into(),
            });
        }
        deps.database.put_test_type(&self.test_type).await?;
        Ok(self.test_type)
    }
}

/// Every type of test there is.
pub struct AllTests;

impl Operation for AllTests {
    const NAME: &'static str = "all_tests";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "test type";
    type Answer = Vec<TestType>;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::ReadTestTypes)
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<Vec<TestType>, ServiceError> {
        Ok(deps.database.test_types(MOST_TYPES).await?)
    }
}
