//! Who may do what: the one place that decides it.
//!
//! A request names the [`Access`] it needs; [`decide`] answers for a [`Caller`]. A denial is either
//! [`Decision::Forbidden`], for a role that may never do it, or [`Decision::Absent`]: what a caller may not see
//! does not exist for them.

use super::audit::Origin;
use super::ids::{AccountId, CareProviderId, PatientId, SessionId};
use std::collections::BTreeSet;

/// What an account is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Reads and writes what carries their own patient id.
    Patient(PatientId),
    /// Cares for the patients linked to them.
    CareProvider(CareProviderId),
    /// Looks after accounts, roles, test types and everything else.
    Admin,
}

impl Role {
    /// The role's name in tokens, configuration and the database.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Patient(_) => "patient",
            Self::CareProvider(_) => "care_provider",
            Self::Admin => "admin",
        }
    }
}

/// Someone whose token was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Their account.
    pub account: AccountId,
    /// The sign-in that the token came from.
    pub session: SessionId,
    /// What they are.
    pub role: Role,
    /// Where the request came from.
    pub origin: Origin,
}

/// What a request needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Read or write what carries this patient's id: profile, events, scores, recordings, consent.
    Patient(PatientId),
    /// [`Access::Patient`] of every one of these.
    Patients(BTreeSet<PatientId>),
    /// Read the profiles of all patients.
    AllPatients,
    /// Set the score of this patient's event by hand.
    Score(PatientId),
    /// Read the directory: the ids and names of all patients.
    ReadDirectory,
    /// Create a patient.
    CreatePatient,
    /// Create a care provider.
    CreateCareProvider,
    /// Read or change what belongs to this care provider, their patients' list among it.
    CareProvider(CareProviderId),
    /// See and change accounts and their roles.
    Accounts,
    /// Change which tests there are.
    ChangeTestTypes,
    /// Read which tests there are.
    ReadTestTypes,
    /// Read the whole audit record.
    ReadAudit,
    /// Read what the audit record says of this patient.
    ReadAuditOf(PatientId),
    /// Ask the lake in SQL. What is seen is what [`lake_scope`] says.
    QueryLake,
    /// List models. What is seen is what [`model_scope`] says.
    ListModels,
    /// See and change which models are in memory, and what became of all requests to them.
    OperateModels,
}

/// Whose models a list shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelScope {
    /// Everybody's.
    Everyone,
    /// Those of the patients who are linked to the care provider.
    PatientsOf(CareProviderId),
    /// One patient's.
    Of(PatientId),
}

/// Whose recordings a query over the lake sees. The tables of the query hold nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LakeScope {
    /// Everybody's.
    Everyone,
    /// Those of the patients who are linked to the care provider.
    PatientsOf(CareProviderId),
}

impl Access {
    /// The patient whose data it is, where it is of one.
    #[must_use]
    pub fn patient(&self) -> Option<&PatientId> {
        match self {
            Self::Patient(id) | Self::Score(id) | Self::ReadAuditOf(id) => Some(id),
            Self::Patients(_)
            | Self::AllPatients
            | Self::ReadDirectory
            | Self::CreatePatient
            | Self::CreateCareProvider
            | Self::CareProvider(_)
            | Self::Accounts
            | Self::ChangeTestTypes
            | Self::ReadTestTypes
            | Self::QueryLake
            | Self::ListModels
            | Self::OperateModels
            | Self::ReadAudit => None,
        }
    }

    /// The care provider to whom it belongs.
    #[must_use]
    pub fn care_provider(&self) -> Option<&CareProviderId> {
        match self {
            Self::CareProvider(id) => Some(id),
            Self::Patient(_)
            | Self::Patients(_)
            | Self::AllPatients
            | Self::Score(_)
            | Self::ReadDirectory
            | Self::CreatePatient
            | Self::CreateCareProvider
            | Self::Accounts
            | Self::ChangeTestTypes
            | Self::ReadTestTypes
            | Self::QueryLake
            | Self::ListModels
            | Self::OperateModels
            | Self::ReadAudit
            | Self::ReadAuditOf(_) => None,
        }
    }
}

/// The answer of [`decide`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Go ahead.
    Allowed,
    /// Go ahead if the care provider who asks is linked to every patient asked for; otherwise [`Decision::Absent`].
    AllowedIfLinked,
    /// The caller's role may never do this.
    Forbidden,
    /// For this caller it does not exist.
    Absent,
}

/// Decides whether the role may have the access.
#[must_use]
pub fn decide(role: &Role, access: &Access) -> Decision {
    match (role, access) {
        (Role::Admin, _) | (Role::Patient(_) | Role::CareProvider(_), Access::ReadTestTypes | Access::ListModels) => {
            Decision::Allowed
        }
        (Role::Patient(own), Access::Patient(asked) | Access::ReadAuditOf(asked)) => allowed_or_absent(own == asked),
        (Role::Patient(own), Access::Patients(asked)) => allowed_or_absent(asked.iter().all(|asked| own == asked)),
        // Nobody scores themselves; another's event is not there to be scored.
        (Role::Patient(own), Access::Score(asked)) if own != asked => Decision::Absent,
        (Role::CareProvider(_), Access::Patient(_) | Access::Patients(_) | Access::Score(_)) => {
            Decision::AllowedIfLinked
        }
        (Role::CareProvider(own), Access::CareProvider(asked)) => allowed_or_absent(own == asked),
        (Role::CareProvider(_), Access::CreatePatient | Access::ReadDirectory | Access::QueryLake) => Decision::Allowed,
        (
            Role::CareProvider(_),
            Access::CreateCareProvider
            | Access::Accounts
            | Access::AllPatients
            | Access::ChangeTestTypes
            | Access::OperateModels
            | Access::ReadAudit
            | Access::ReadAuditOf(_),
        )
        | (
            Role::Patient(_),
            Access::AllPatients
            | Access::Score(_)
            | Access::ReadDirectory
            | Access::CreatePatient
            | Access::CreateCareProvider
            | Access::CareProvider(_)
            | Access::Accounts
            | Access::ChangeTestTypes
            | Access::OperateModels
            | Access::QueryLake
            | Access::ReadAudit,
        ) => Decision::Forbidden,
    }
}

/// Whose recordings the role sees when it asks the lake in SQL; none where it may not ask.
#[must_use]
pub fn lake_scope(role: &Role) -> Option<LakeScope> {
    match role {
        Role::Admin => Some(LakeScope::Everyone),
        Role::CareProvider(own) => Some(LakeScope::PatientsOf(own.clone())),
        Role::Patient(_) => None,
    }
}

/// Whose models the role sees in a list.
#[must_use]
pub fn model_scope(role: &Role) -> ModelScope {
    match role {
        Role::Admin => ModelScope::Everyone,
        Role::CareProvider(own) => ModelScope::PatientsOf(own.clone()),
        Role::Patient(own) => ModelScope::Of(own.clone()),
    }
}

fn allowed_or_absent(allowed: bool) -> Decision {
    if allowed { Decision::Allowed } else { Decision::Absent }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patient(id: &str) -> PatientId {
        PatientId::new(id).unwrap()
    }

    fn care_provider(id: &str) -> CareProviderId {
        CareProviderId::new(id).unwrap()
    }

    #[test]
    fn every_role_and_every_access_has_its_decision() {
        use Decision::{Absent, Allowed, AllowedIfLinked, Forbidden};
        let roles = [Role::Patient(patient("own")), Role::CareProvider(care_provider("own")), Role::Admin];
        let table = [
            (Access::Patient(patient("own")), [Allowed, AllowedIfLinked, Allowed]),
            (Access::Patient(patient("other")), [Absent, AllowedIfLinked, Allowed]),
            (Access::Patients([patient("own")].into()), [Allowed, AllowedIfLinked, Allowed]),
            (Access::Patients([patient("own"), patient("other")].into()), [Absent, AllowedIfLinked, Allowed]),
            (Access::AllPatients, [Forbidden, Forbidden, Allowed]),
            (Access::Score(patient("own")), [Forbidden, AllowedIfLinked, Allowed]),
            (Access::Score(patient("other")), [Absent, AllowedIfLinked, Allowed]),
            (Access::ReadDirectory, [Forbidden, Allowed, Allowed]),
            (Access::CreatePatient, [Forbidden, Allowed, Allowed]),
            (Access::CreateCareProvider, [Forbidden, Forbidden, Allowed]),
            (Access::CareProvider(care_provider("own")), [Forbidden, Allowed, Allowed]),
            (Access::CareProvider(care_provider("other")), [Forbidden, Absent, Allowed]),
            (Access::Accounts, [Forbidden, Forbidden, Allowed]),
            (Access::ChangeTestTypes, [Forbidden, Forbidden, Allowed]),
            (Access::ReadTestTypes, [Allowed, Allowed, Allowed]),
            (Access::QueryLake, [Forbidden, Allowed, Allowed]),
            (Access::ListModels, [Allowed, Allowed, Allowed]),
            (Access::OperateModels, [Forbidden, Forbidden, Allowed]),
            (Access::ReadAudit, [Forbidden, Forbidden, Allowed]),
            (Access::ReadAuditOf(patient("own")), [Allowed, Forbidden, Allowed]),
            (Access::ReadAuditOf(patient("other")), [Absent, Forbidden, Allowed]),
        ];
        for (access, decisions) in table {
            for (role, decision) in roles.iter().zip(decisions) {
                assert_eq!(decide(role, &access), decision, "{role:?} {access:?}");
            }
        }
    }

    #[test]
    fn who_may_ask_the_lake_sees_something_and_nobody_else_does() {
        let own = care_provider("own");
        for (role, scope) in [
            (Role::Admin, Some(LakeScope::Everyone)),
            (Role::CareProvider(own.clone()), Some(LakeScope::PatientsOf(own))),
            (Role::Patient(patient("own")), None),
        ] {
            assert_eq!(scope.is_some(), decide(&role, &Access::QueryLake) == Decision::Allowed);
            assert_eq!(lake_scope(&role), scope);
        }
    }
}
