//! The audit record: what is noted of an access, and the chain of hashes that shows whether the notes are whole.
//! docs/AUDIT.md says how they are encoded, for who verifies them without this program.

use super::access::{Access, Caller, Role};
use super::ids::{AccountId, CareProviderId, PatientId, TestEventId};
use chrono::{DateTime, SubsecRound, Utc};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// First field of what is hashed: another encoding gets another name.
const ENCODING: &str = "stance-audit-1";
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

/// One row of the record, as it is kept: text, so that a row that was tampered with can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When, in whole microseconds.
    pub at: DateTime<Utc>,
    /// `patient`, `care_provider`, `admin`, `operator`, `bucket` or `nobody`.
    pub role: Cow<'static, str>,
    /// Whose account.
    pub account: Option<String>,
    /// Which patient or care provider that account is; an operator's user name.
    pub acting_as: Option<String>,
    /// What was asked for.
    pub operation: Cow<'static, str>,
    /// Whose data it is about.
    pub patients: Vec<String>,
    /// Which test event.
    pub test_event: Option<String>,
    /// Which care provider it is about.
    pub care_provider: Option<String>,
    /// The client's address.
    pub address: Option<String>,
    /// The request's id.
    pub request_id: Option<String>,
    /// An [`Outcome`]'s name.
    pub result: Cow<'static, str>,
    /// More in a few words.
    pub detail: Option<String>,
}

impl Record {
    /// The hash of what it says.
    #[must_use]
    pub fn digest(&self) -> Link {
        let mut hash = Sha256::new();
        let mut field = |text: Option<&str>| match text {
            Some(text) => {
                hash.update(u32::try_from(text.len()).unwrap_or(u32::MAX - 1).to_be_bytes());
                hash.update(text);
            }
            None => hash.update(u32::MAX.to_be_bytes()),
        };
        field(Some(ENCODING));
        field(Some(&self.at.timestamp_micros().to_string()));
        field(Some(&self.role));
        field(self.account.as_deref());
        field(self.acting_as.as_deref());
        field(Some(&self.operation));
        field(Some(&self.patients.len().to_string()));
        for patient in &self.patients {
            field(Some(patient));
        }
        field(self.test_event.as_deref());
        field(self.care_provider.as_deref());
        field(self.address.as_deref());
        field(self.request_id.as_deref());
        field(Some(&self.result));
        field(self.detail.as_deref());
        Link(hash.finalize().into())
    }
}

/// A link of the chain: the hash of the link before it, its position and its record's digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Link(pub [u8; 32]);

impl Link {
    /// What the first record is linked to.
    pub const FIRST: Self = Self([0; 32]);

    /// The link of the record with that digest at that position.
    #[must_use]
    pub fn next(self, position: i64, digest: Self) -> Self {
        let hash = Sha256::new().chain_update(self.0).chain_update(position.to_be_bytes()).chain_update(digest.0);
        Self(hash.finalize().into())
    }

    /// A link as it is printed.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let plain = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(digits).collect();
        bytes.filter(|_| plain)?.try_into().ok().map(Self)
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({self})")
    }
}

/// A place in the chain: what an operator notes down elsewhere, and may ask for later. As text `POSITION:HASH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// From 1; 0 is before the first record.
    pub position: i64,
    /// The link there.
    pub link: Link,
}

impl Mark {
    /// Before the first record.
    pub const FIRST: Self = Self { position: 0, link: Link::FIRST };
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.position, self.link)
    }
}

impl std::str::FromStr for Mark {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (position, link) = text.split_once(':')?;
            Some(Self { position: position.parse().ok()?, link: Link::from_hex(link)? })
        };
        read().ok_or("must be POSITION:HASH, as it was printed")
    }
}

/// A record with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its place in the chain.
    pub mark: Mark,
    /// What it says.
    pub record: Record,
}

/// What is wrong with the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Rows are not there, with rows after them.
    Missing {
        /// The first.
        from: i64,
        /// The last.
        to: i64,
    },
    /// A row, or its link, is not what was written; or it was put there, or comes from another place.
    Changed(i64),
    /// The head names rows that are not there.
    CutOff {
        /// The first.
        from: i64,
        /// The last.
        to: i64,
    },
    /// There are rows of which the head does not know.
    BeyondHead {
        /// The first.
        from: i64,
        /// The last.
        to: i64,
    },
    /// The last row is not the one that the head names.
    OtherHead(i64),
    /// What was noted down elsewhere is not what is here.
    NotAsNoted(i64),
    /// What was noted down elsewhere is from before what retention took away.
    NotThereAnyMore(i64),
    /// Rows up to here were taken away, and no record says that retention did it.
    NotPruned(i64),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { from, to } if from == to => write!(f, "position {from}: the record is missing"),
            Self::Missing { from, to } => write!(f, "positions {from} to {to}: the records are missing"),
            Self::Changed(at) => write!(f, "position {at}: the record was changed, moved or put there"),
            Self::CutOff { from, to } => write!(f, "positions {from} to {to}: the end of the record is missing"),
            Self::BeyondHead { from, to } => {
                write!(f, "positions {from} to {to}: the head does not know these records")
            }
            Self::OtherHead(at) => write!(f, "position {at}: the last record is not the one that the head names"),
            Self::NotAsNoted(at) => write!(f, "position {at}: the record is not the one that was noted down"),
            Self::NotThereAnyMore(at) => {
                write!(f, "position {at}: retention took the record away; what was noted down cannot be compared")
            }
            Self::NotPruned(at) => write!(f, "positions up to {at}: no record says that retention took them away"),
        }
    }
}

/// Goes along the chain, record by record, and says what is wrong.
#[derive(Debug, Clone)]
pub struct Verifier {
    last: Mark,
    pruned: Mark,
    /// Whether a record says that everything up to the beginning was taken away.
    pruning_is_recorded: bool,
    noted: Vec<Mark>,
}

/// The operation that records a pruning; its detail is the mark of the last row that was taken away.
pub const PRUNE: &str = "admin prune-audit";

impl Verifier {
    /// Begins after what retention took away, and looks for these marks.
    #[must_use]
    pub fn new(pruned: Mark, noted: Vec<Mark>) -> Self {
        Self { last: pruned, pruned, pruning_is_recorded: pruned == Mark::FIRST, noted }
    }

    /// The next row, in the order of positions.
    pub fn next(&mut self, kept: &Kept, faults: &mut Vec<Fault>) {
        let Kept { mark, record } = kept;
        let expected = self.last.position.saturating_add(1);
        if mark.position > expected {
            faults.push(Fault::Missing { from: expected, to: mark.position - 1 });
        } else if self.last.link.next(mark.position, record.digest()) != mark.link {
            faults.push(Fault::Changed(mark.position));
        }
        if record.operation == PRUNE && record.detail.as_deref() == Some(&self.pruned.to_string()) {
            self.pruning_is_recorded = true;
        }
        let other = |noted: &Mark| noted.position == mark.position && noted.link != mark.link;
        faults.extend(self.noted.iter().filter(|noted| other(noted)).map(|noted| Fault::NotAsNoted(noted.position)));
        self.last = *mark;
    }

    /// No row is left; the head was read together with the position of the last.
    pub fn end(self, head: Mark, faults: &mut Vec<Fault>) {
        let Self { last, pruned, pruning_is_recorded, noted } = self;
        if last.position < head.position {
            faults.push(Fault::CutOff { from: last.position + 1, to: head.position });
        } else if last.position > head.position {
            faults.push(Fault::BeyondHead { from: head.position + 1, to: last.position });
        } else if last.link != head.link {
            faults.push(Fault::OtherHead(head.position));
        }
        if !pruning_is_recorded {
            faults.push(Fault::NotPruned(pruned.position));
        }
        faults.extend(noted.into_iter().filter_map(|noted| match noted.position {
            at if at < pruned.position => Some(Fault::NotThereAnyMore(at)),
            at if at > last.position || at == pruned.position && noted != pruned => Some(Fault::NotAsNoted(at)),
            _ => None,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(operation: &'static str) -> Entry {
        let role = Role::Patient(PatientId::new("p-1").unwrap());
        Entry::of(&role, Origin::default(), operation)
    }

    fn chain(length: i64) -> Vec<Kept> {
        let mut last = Mark::FIRST;
        let kept = (1..=length).map(|position| {
            let record = entry("read").detail(position.to_string()).into_records(DateTime::UNIX_EPOCH).remove(0);
            last = Mark { position, link: last.link.next(position, record.digest()) };
            Kept { mark: last, record }
        });
        kept.collect()
    }

    fn verify(rows: &[Kept], head: Mark, noted: &[Mark]) -> Vec<Fault> {
        let mut verifier = Verifier::new(Mark::FIRST, noted.to_vec());
        let mut faults = Vec::new();
        rows.iter().for_each(|row| verifier.next(row, &mut faults));
        verifier.end(head, &mut faults);
        faults
    }

    #[test]
    fn every_way_to_tamper_is_named_by_its_position() {
        let whole = chain(9);
        let head = whole[8].mark;
        assert_eq!(verify(&whole, head, &[whole[3].mark, head]), []);

        let mut changed = whole.clone();
        changed[4].record.patients = vec!["p-2".into()];
        assert_eq!(verify(&changed, head, &[]), [Fault::Changed(5)]);
        // With its link made anew, the next one does not follow.
        changed[4].mark.link = changed[3].mark.link.next(5, changed[4].record.digest());
        assert_eq!(verify(&changed, head, &[]), [Fault::Changed(6)]);

        let mut deleted = whole.clone();
        deleted.drain(3..5);
        assert_eq!(verify(&deleted, head, &[]), [Fault::Missing { from: 4, to: 5 }]);

        let mut swapped = whole.clone();
        let record = swapped[1].record.clone();
        swapped[1].record = std::mem::replace(&mut swapped[6].record, record);
        assert_eq!(verify(&swapped, head, &[]), [Fault::Changed(2), Fault::Changed(7)]);

        let mut inserted = whole.clone();
        inserted.insert(4, whole[0].clone());
        inserted.iter_mut().zip(1..).skip(4).for_each(|(row, position)| row.mark.position = position);
        assert_eq!(verify(&inserted, head, &[])[0], Fault::Changed(5));

        assert_eq!(verify(&whole[..6], head, &[]), [Fault::CutOff { from: 7, to: 9 }]);
        assert_eq!(verify(&whole, whole[6].mark, &[]), [Fault::BeyondHead { from: 8, to: 9 }]);
        assert_eq!(verify(&whole[1..], head, &[]), [Fault::Missing { from: 1, to: 1 }]);
    }

    #[test]
    fn a_record_that_was_made_anew_as_a_whole_differs_from_what_was_noted() {
        let whole = chain(9);
        let (head, noted) = (whole[8].mark, whole[7].mark);
        let cut = &whole[..5];
        assert_eq!(verify(cut, cut[4].mark, &[]), [], "a head that was set back hides it");
        assert_eq!(verify(cut, cut[4].mark, &[noted]), [Fault::NotAsNoted(8)]);
        let other = Mark { link: Link([7; 32]), ..noted };
        assert_eq!(verify(&whole, head, &[other]), [Fault::NotAsNoted(8)]);
        assert_eq!(noted.to_string().parse(), Ok(noted));
        for bad in ["", "8", "8:", "8:zz", "x:00", "8:+0", &format!("8:{}", "0".repeat(62))] {
            assert!(bad.parse::<Mark>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_retention_took_away_must_be_recorded() {
        let whole = chain(9);
        let pruned = whole[3].mark;
        let rest = &whole[4..];
        let verify = |rows: &[Kept], noted: &[Mark]| {
            let (mut verifier, mut faults) = (Verifier::new(pruned, noted.to_vec()), Vec::new());
            rows.iter().for_each(|row| verifier.next(row, &mut faults));
            verifier.end(rows.last().unwrap().mark, &mut faults);
            faults
        };
        assert_eq!(verify(rest, &[]), [Fault::NotPruned(4)]);
        let record = Entry::by_operator(None, PRUNE).detail(pruned.to_string());
        let record = record.into_records(DateTime::UNIX_EPOCH).remove(0);
        let mark = Mark { position: 10, link: whole[8].mark.link.next(10, record.digest()) };
        let rows: Vec<_> = rest.iter().cloned().chain([Kept { mark, record }]).collect();
        assert_eq!(verify(&rows, &[pruned, whole[5].mark]), []);
        assert_eq!(verify(&rows, &[whole[1].mark]), [Fault::NotThereAnyMore(2)]);
    }

    #[test]
    fn no_two_records_are_encoded_alike() {
        let digest = |entry: Entry| entry.into_records(DateTime::UNIX_EPOCH)[0].digest();
        let ids = |ids: &[&str]| ids.iter().map(|id| PatientId::new(*id).unwrap()).collect::<Vec<_>>();
        let all = [
            digest(entry("read")),
            digest(entry("read").detail("")),
            digest(entry("rea").detail("d")),
            digest(entry("read").patients(ids(&["a", "b"]))),
            digest(entry("read").patients(ids(&["ab"]))),
            digest(entry("read").patients(ids(&["a"])).detail("b")),
        ];
        for (n, one) in all.iter().enumerate() {
            assert!(!all[n + 1..].contains(one), "{n}");
        }
    }

    #[test]
    fn a_list_of_many_patients_is_several_records() {
        let many: Vec<_> = (0..1_200).map(|n| PatientId::new(format!("p-{n}")).unwrap()).collect();
        let records = entry("list").patients(many.clone()).into_records(DateTime::UNIX_EPOCH);
        assert_eq!(records.iter().map(|record| record.patients.len()).collect::<Vec<_>>(), [500, 500, 200]);
        let all: Vec<_> = records.into_iter().flat_map(|record| record.patients).collect();
        assert_eq!(all, many.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
}
