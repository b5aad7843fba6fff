//! The audit record: what is noted of an access ([`Entry`]), how that is kept ([`Record`]), and the chain of hashes that shows
//! whether the notes are whole ([`Verifier`]). docs/AUDIT.md says how they are encoded, for who verifies them without this
//! program.

mod chain;
mod record;

pub use chain::{Fault, Kept, Link, Mark, PRUNE, Verifier};
pub use record::Record;

use super::access::{Access, Caller, Role};
use super::ids::{AccountId, CareProviderId, PatientId, TestEventId};
use chrono::{DateTime, SubsecRound, Utc};
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

/// Patients that one record names at most.
const MOST_PATIENTS: usize = 500;

/// Where a request came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The request's id, as in its log lines.
    pub request_id: Option<Arc<str>>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was allowed.
    Allowed,
    /// There is no such thing, or not for who asked: the record does not tell the two apart either.
    Absent,
    /// The role may never do this.
    Forbidden,
    /// Nobody who may ask: no token that holds, or a wrong password.
    Refused,
    /// It was allowed, and was not done.
    Failed,
}

impl Outcome {
    /// Its name in the record.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Absent => "absent",
            Self::Forbidden => "forbidden",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Something to be noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    role: &'static str,
    account: Option<AccountId>,
    acting_as: Option<String>,
    origin: Origin,
    operation: Cow<'static, str>,
    patients: Vec<PatientId>,
    test_event: Option<TestEventId>,
    care_provider: Option<CareProviderId>,
    outcome: Outcome,
    detail: Option<String>,
}

impl Entry {
    /// Somebody whose token was verified was allowed an operation.
    #[must_use]
    pub fn by(caller: &Caller, operation: &'static str) -> Self {
        let origin = caller.origin.clone();
        Self { account: Some(caller.account), ..Self::of(&caller.role, origin, operation) }
    }

    /// Somebody who is about to be an account's holder, or stopped being one.
    #[must_use]
    pub fn by_account(account: AccountId, role: &Role, origin: Origin, operation: &'static str) -> Self {
        Self { account: Some(account), ..Self::of(role, origin, operation) }
    }

    /// Somebody without a token that holds.
    #[must_use]
    pub fn by_nobody(origin: Origin, operation: &'static str) -> Self {
        Self { outcome: Outcome::Refused, ..Self::new("nobody", origin, operation.into()) }
    }

    /// Somebody on the machine's command line; `user` is whom the system takes them for.
    #[must_use]
    pub fn by_operator(user: Option<String>, command: &'static str) -> Self {
        Self { acting_as: user, ..Self::new("operator", Origin::default(), command.into()) }
    }

    /// A phone that put an object straight into the bucket.
    #[must_use]
    pub fn by_bucket(operation: &'static str) -> Self {
        Self::new("bucket", Origin::default(), operation.into())
    }

    fn of(role: &Role, origin: Origin, operation: &'static str) -> Self {
        let acting_as = match role {
            Role::Patient(id) => Some(id.to_string()),
            Role::CareProvider(id) => Some(id.to_string()),
            Role::Admin => None,
        };
        Self { acting_as, ..Self::new(role.name(), origin, operation.into()) }
    }

    fn new(role: &'static str, origin: Origin, operation: Cow<'static, str>) -> Self {
        Self {
            role,
            account: None,
            acting_as: None,
            origin,
            operation,
            patients: Vec::new(),
            test_event: None,
            care_provider: None,
            outcome: Outcome::Allowed,
            detail: None,
        }
    }

    /// It is about what the access names.
    #[must_use]
    pub fn about(self, access: &Access) -> Self {
        let (patient, care_provider) = (access.patient().cloned(), access.care_provider().cloned());
        self.patients(patient).care_provider(care_provider)
    }

    /// It is about an account of that role, and whose it is.
    #[must_use]
    pub fn holder(self, role: &Role) -> Self {
        let entry = self.detail(format!("role {}", role.name()));
        match role {
            Role::Patient(id) => entry.patients([id.clone()]),
            Role::CareProvider(id) => entry.care_provider(Some(id.clone())),
            Role::Admin => entry,
        }
    }

    /// It is about these patients, too.
    #[must_use]
    pub fn patients(mut self, patients: impl IntoIterator<Item = PatientId>) -> Self {
        for patient in patients {
            if self.patients.last() != Some(&patient) {
                self.patients.push(patient);
            }
        }
        self
    }

    /// It is about this test event; one that is known stays.
    #[must_use]
    pub fn test_event(mut self, id: Option<TestEventId>) -> Self {
        self.test_event = self.test_event.or(id);
        self
    }

    /// It is about this care provider; one that is known stays.
    #[must_use]
    pub fn care_provider(mut self, id: Option<CareProviderId>) -> Self {
        self.care_provider = self.care_provider.or(id);
        self
    }

    /// What became of it.
    #[must_use]
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// More in a few words: codes and counts, never anything of a person.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The records of it: of more patients than one record has room for, several.
    #[must_use]
    pub fn into_records(self, at: DateTime<Utc>) -> Vec<Record> {
        let rest = self.patients.get(MOST_PATIENTS..).unwrap_or_default().chunks(MOST_PATIENTS);
        let first = self.patients.get(..MOST_PATIENTS).unwrap_or(&self.patients);
        std::iter::once(first).chain(rest).map(|patients| self.record(at, patients)).collect()
    }

    fn record(&self, at: DateTime<Utc>, patients: &[PatientId]) -> Record {
        Record {
            at: at.trunc_subsecs(6),
            role: self.role.into(),
            account: self.account.map(|id| id.to_string()),
            acting_as: self.acting_as.clone(),
            operation: self.operation.clone(),
            patients: patients.iter().map(ToString::to_string).collect(),
            test_event: self.test_event.map(|id| id.to_string()),
            care_provider: self.care_provider.as_ref().map(ToString::to_string),
            address: self.origin.address.map(|address| address.to_canonical().to_string()),
            request_id: self.origin.request_id.as_deref().map(str::to_owned),
            result: self.outcome.name().into(),
            detail: self.detail.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
