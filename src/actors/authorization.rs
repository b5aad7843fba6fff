//! Whether a caller may: the policy decides, and the database says who is linked to whom.

use super::ServiceError;
use crate::domain::access::{Access, Decision, Role, decide};
use crate::storage::database::Database;

/// Lets the role have the access, or says why not. What it may not see is absent, in the same words as what is not there:
/// `subject` names it.
pub(super) async fn authorize(
    database: &Database,
    role: &Role,
    access: &Access,
    subject: &'static str,
) -> Result<(), ServiceError> {
    let allowed = match decide(role, access) {
        Decision::Allowed => true,
        Decision::Forbidden => return Err(ServiceError::Forbidden),
        Decision::Absent => false,
        Decision::AllowedIfLinked => match (role, access) {
            (Role::CareProvider(provider), Access::Patient(patient) | Access::Score(patient)) => {
                database.is_linked(provider, patient).await?
            }
            (Role::Patient(_) | Role::CareProvider(_) | Role::Admin, _) => false,
        },
    };
    if allowed { Ok(()) } else { Err(ServiceError::NotFound(subject)) }
}
