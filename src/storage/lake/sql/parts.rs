//! Which patients and which files a reader of the lake is shown. Everything that a query sees comes through here.

use super::QueryError;
use super::wanted::Wanted;
use crate::domain::access::LakeScope;
use crate::domain::ids::PatientId;
use crate::storage::database::{Database, LakePart, LakeRecording};
use crate::storage::objects::{ObjectError, Objects};
use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

/// Patients asked for at once.
const PAGE: u32 = 500;

/// A reader of the lake, for one query.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) database: Database,
    pub(super) objects: Objects,
    /// Whose recordings there are for them.
    pub(super) scope: LakeScope,
    /// Files or recordings that one table shows at most.
    pub(super) most: u32,
    pub(super) counts: Arc<Counts>,
}

/// What a query read.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) files: AtomicU64,
    pub(super) bytes: AtomicU64,
    patients: Mutex<BTreeSet<PatientId>>,
    fault: Mutex<Option<StoreFault>>,
}

/// Why a file could not be read. Whoever reads Parquet makes a text of it.
#[derive(Debug, Clone, Copy)]
enum StoreFault {
    Gone,
    Away(&'static str),
}

impl Counts {
    /// Notes whose recordings are read.
    pub(super) fn reads(&self, patients: impl IntoIterator<Item = PatientId>) {
        self.patients.lock().unwrap_or_else(PoisonError::into_inner).extend(patients);
    }

    /// Notes that a file could not be read.
    pub(super) fn failed(&self, error: &ObjectError) {
        let fault = match error {
            ObjectError::NotFound => StoreFault::Gone,
            ObjectError::Unavailable(reason) => StoreFault::Away(reason),
            ObjectError::Exists
            | ObjectError::Corrupt
            | ObjectError::TooLarge
            | ObjectError::NoSpace
            | ObjectError::Refused(_)
            | ObjectError::Io(_) => return,
        };
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fault);
    }

    /// The error of a query, by what the store said, where that is what ended it.
    pub(super) fn explain(&self, error: QueryError) -> QueryError {
        let fault = *self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        match (error, fault) {
            // There it was when the query was planned.
            (QueryError::Internal(_), Some(StoreFault::Gone)) => QueryError::Changed,
            (QueryError::Internal(_), Some(StoreFault::Away(reason))) => {
                QueryError::Objects(ObjectError::Unavailable(reason))
            }
            (error, _) => error,
        }
    }

    /// Whose recordings are read.
    pub(super) fn patients(&self) -> Vec<PatientId> {
        self.patients.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Reader {
    /// The files that may hold what is wanted.
    pub(super) async fn parts(&self, wanted: &Wanted) -> Result<Vec<LakePart>, QueryError> {
        let window = wanted.window();
        let mut pages = Pages::of(self, wanted).await?;
        let mut parts = Vec::new();
        while let Some(patients) = pages.next(self).await? {
            parts.extend(self.database.lake_parts(&patients, &window, self.room(parts.len())).await?);
            self.check(parts.len())?;
        }
        Ok(parts)
    }

    /// The recordings of whom is wanted.
    pub(super) async fn recordings(&self, wanted: &Wanted) -> Result<Vec<LakeRecording>, QueryError> {
        let mut pages = Pages::of(self, wanted).await?;
        let mut recordings = Vec::new();
        while let Some(patients) = pages.next(self).await? {
            recordings.extend(self.database.lake_recordings(&patients, self.room(recordings.len())).await?);
            self.check(recordings.len())?;
        }
        self.counts.reads(recordings.iter().map(|recording| recording.patient.clone()));
        Ok(recordings)
    }

    /// The patients whom the scope shows, at most `limit`.
    #[cfg(feature = "aws")]
    pub(super) async fn patients(&self, wanted: &Wanted, limit: usize) -> Result<Option<Vec<PatientId>>, QueryError> {
        let mut pages = Pages::of(self, wanted).await?;
        let mut all = Vec::new();
        while let Some(patients) = pages.next(self).await? {
            all.extend(patients);
            if all.len() > limit {
                return Ok(None);
            }
        }
        self.counts.reads(all.iter().cloned());
        Ok(Some(all))
    }

    /// One more than there may be, to see that there are more.
    fn room(&self, have: usize) -> u32 {
        self.most.saturating_sub(u32::try_from(have).unwrap_or(u32::MAX)).saturating_add(1)
    }

    fn check(&self, have: usize) -> Result<(), QueryError> {
        if have > self.most as usize { Err(QueryError::Files(self.most)) } else { Ok(()) }
    }
}

/// The patients of a scope, a page at a time.
enum Pages {
    /// All of them, from the first whose id comes after this.
    After(String),
    /// These, of whom the scope shows some.
    Named(Vec<PatientId>),
    Done,
}

impl Pages {
    async fn of(reader: &Reader, wanted: &Wanted) -> Result<Self, QueryError> {
        let named = match (wanted.patients(), wanted.events()) {
            (Some(patients), _) => patients,
            (None, Some(events)) => reader.database.patients_of_recordings(&events).await?,
            (None, None) => return Ok(Self::After(String::new())),
        };
        Ok(Self::Named(reader.database.lake_patients_among(&reader.scope, named).await?))
    }

    async fn next(&mut self, reader: &Reader) -> Result<Option<Vec<PatientId>>, QueryError> {
        match std::mem::replace(self, Self::Done) {
            Self::Done => Ok(None),
            Self::Named(patients) => Ok(Some(patients).filter(|patients| !patients.is_empty())),
            Self::After(after) => {
                let page = reader.database.lake_patients(&reader.scope, &after, PAGE).await?;
                if let Some(last) = page.last().filter(|_| page.len() >= PAGE as usize) {
                    *self = Self::After(last.as_str().to_owned());
                }
                Ok(Some(page).filter(|page| !page.is_empty()))
            }
        }
    }
}
