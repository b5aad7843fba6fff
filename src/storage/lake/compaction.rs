//! Compaction: recordings of a patient, movement and month in one file, in the order of their time, so that a query costs what
//! its answer is and not a file a recording.
//!
//! A recording's own file stays. Which file a query reads a recording from is told by its row, and changes for all of a
//! compaction in one transaction: nothing is read twice or not at all, whenever a compaction dies. An object is noted before
//! it is made, so that what a dead compaction left is found and removed; what is replaced stays until no query reads it any
//! more. The name of an object depends on the right under which it is made: no two compactions make one object, and no name
//! comes back.

mod making;
#[cfg(test)]
mod tests;

use super::LakeError;
use crate::domain::access::LakeScope;
use crate::domain::clock::SharedClock;
use crate::domain::object_key::ObjectKey;
use crate::domain::recording::Day;
use crate::storage::database::{
    CompactionLease, CompactionTime, Database, DatabaseError, LakePartition, LiveFile, NewFile, ToCompact,
};
use crate::storage::objects::{ObjectError, Objects, Staged};
use chrono::TimeDelta;
use making::Making;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Patients looked through at once.
const PAGE: u32 = 500;
/// Files removed at once.
const REMOVED_AT_ONCE: u32 = 200;
/// Of the form of compacted files: another one has other names.
const FORM: &[u8] = b"compacted samples 2";

/// Between two extensions of the lease while a file is kept.
const SHORTEST_HOLD: Duration = Duration::from_secs(1);

/// What compaction goes by.
#[derive(Debug, Clone)]
pub struct CompactionRule {
    /// New recordings of a month that are compacted at once; fewer wait for a day.
    pub recordings: u32,
    /// Samples of the largest file: one that has half of them is left as it is.
    pub samples: u64,
    /// Time between two compactions of what is new; none: only what is deleted is removed from the files that are there.
    pub every: Option<TimeDelta>,
    /// How long a replaced file stays for the queries that read it.
    pub grace: TimeDelta,
    /// How long the right to compact holds without being extended: longer than one recording takes.
    pub lease: TimeDelta,
}

/// Compacts.
#[derive(Debug, Clone)]
pub struct Compaction {
    /// Rows.
    pub database: Database,
    /// Objects.
    pub objects: Objects,
    /// Time.
    pub clock: SharedClock,
    /// What it goes by.
    pub rule: CompactionRule,
    /// Who compacts.
    pub owner: Arc<str>,
    /// Set when it is to end at the next good moment.
    pub ends: Arc<AtomicBool>,
}

/// What a compaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Months that it looked at.
    pub partitions: u64,
    /// Recordings that were moved into a file.
    pub recordings: u64,
    /// Files that it made.
    pub files: u64,
    /// Old files that it removed.
    pub removed: u64,
    /// Months that were left as they are because a recording of theirs could not be read.
    pub failed: u64,
}

/// Why a compaction stopped. What it had done until then holds.
#[derive(Debug, thiserror::Error)]
pub enum CompactionError {
    /// The database failed, or somebody else compacts by now.
    #[error("the database failed")]
    Database(#[from] DatabaseError),
    /// The object store failed.
    #[error("the object store failed")]
    Objects(#[from] ObjectError),
    /// A recording's own file cannot be read, or the new one not be made.
    #[error("a file of the lake failed")]
    Lake(#[from] LakeError),
    /// A recording's own file is gone: what the compacted file has of it is all that there is.
    #[error("the own file of a compacted recording is gone")]
    Missing,
    /// A file of the lake is such that reading it panicked.
    #[error("a file of the lake cannot be read")]
    Unreadable,
    /// The program is stopping.
    #[error("the program is stopping")]
    Stopped,
}

/// Whether it waits for its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At its time.
    Due,
    /// Now, and what is new is compacted however little it is.
    Now,
}

impl Compaction {
    /// Compacts what is to be compacted and removes what is used no more; none where it is not time or somebody else does it.
    ///
    /// # Errors
    /// [`CompactionError`].
    pub async fn run(&self, when: When) -> Result<Option<Compacted>, CompactionError> {
        let now = self.clock.now();
        let time = CompactionTime {
            now,
            until: now + self.rule.lease,
            periodic: self.rule.every.is_some(),
            removable: now - self.rule.grace,
        };
        let taken = self.database.take_compaction(&self.owner, &time, when == When::Now).await?;
        let Some(lease) = taken else { return Ok(None) };
        let outcome = self.run_leased(lease, when).await;
        let now = self.clock.now();
        // One that failed is tried again soon, by whoever is first.
        let (every, soon) = (self.rule.every.unwrap_or_default(), self.rule.lease);
        let next = if outcome.is_ok() { every } else { soon.min(every) };
        let whole = outcome.as_ref().is_ok_and(|done| done.failed == 0);
        let rewrite = if whole { TimeDelta::zero() } else { soon };
        self.database.end_compaction(lease, now, now + next, now + rewrite).await?;
        outcome.map(Some)
    }

    async fn run_leased(&self, lease: CompactionLease, when: When) -> Result<Compacted, CompactionError> {
        let mut done = Compacted { removed: self.remove(lease).await?, ..Compacted::default() };
        for partition in self.database.to_rewrite(PAGE).await? {
            if self.ends.load(Ordering::Relaxed) {
                return Ok(done);
            }
            self.try_to_compact(lease, &partition, &mut done).await?;
        }
        if !lease.due {
            return Ok(done);
        }
        let (least, waited) = match when {
            When::Due => (self.rule.recordings, TimeDelta::days(1)),
            When::Now => (1, TimeDelta::zero()),
        };
        let before = self.clock.now() - waited;
        let mut after = String::new();
        loop {
            let page = self.database.lake_patients(&LakeScope::Everyone, &after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(done) };
            last.as_str().clone_into(&mut after);
            for partition in self.database.to_compact(&page, least, before).await? {
                if self.ends.load(Ordering::Relaxed) {
                    return Ok(done);
                }
                self.try_to_compact(lease, &partition, &mut done).await?;
            }
        }
    }

    /// Compacts a month. One that cannot be is left as it is: others have nothing to do with it.
    async fn try_to_compact(
        &self,
        lease: CompactionLease,
        partition: &LakePartition,
        done: &mut Compacted,
    ) -> Result<(), CompactionError> {
        let error = match self.compact(lease, partition, done).await {
            Ok(()) => return Ok(()),
            // What stands in the way of every month.
            Err(
                error @ (CompactionError::Database(_)
                | CompactionError::Objects(ObjectError::Unavailable(_) | ObjectError::NoSpace)
                | CompactionError::Stopped),
            ) => return Err(error),
            Err(
                error @ (CompactionError::Objects(_)
                | CompactionError::Lake(_)
                | CompactionError::Unreadable
                | CompactionError::Missing),
            ) => error,
        };
        done.failed += 1;
        let LakePartition { movement, year, month, .. } = partition;
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, %movement, year, month, "a month of a patient could not be compacted and was left as it is");
        Ok(())
    }

    async fn hold(&self, lease: CompactionLease) -> Result<(), CompactionError> {
        Ok(self.database.hold_compaction(lease, self.clock.now() + self.rule.lease).await?)
    }

    /// Removes objects that no query reads any more, and what dead compactions left.
    async fn remove(&self, lease: CompactionLease) -> Result<u64, CompactionError> {
        let mut removed = 0;
        loop {
            self.hold(lease).await?;
            let files = self.database.lake_files_to_remove(self.clock.now() - self.rule.grace, REMOVED_AT_ONCE).await?;
            if files.is_empty() {
                return Ok(removed);
            }
            for key in files {
                self.objects.delete(&key).await?;
                self.database.forget_lake_file(&key).await?;
                removed += 1;
            }
        }
    }

    /// Puts what is new in a month, and what is in files that are small or hold what is no more, into new files.
    async fn compact(
        &self,
        lease: CompactionLease,
        partition: &LakePartition,
        done: &mut Compacted,
    ) -> Result<(), CompactionError> {
        let (files, recordings) = self.database.lake_partition(partition).await?;
        let recordings = self.there(partition, recordings).await?;
        let rewrite = files.iter().any(|file| file.gone > 0);
        if !rewrite && recordings.iter().all(|recording| recording.file.is_some()) {
            return Ok(());
        }
        let left = |file: &LiveFile| file.gone == 0 && file.samples >= self.rule.samples / 2;
        let old: BTreeSet<ObjectKey> = files.into_iter().filter(|file| !left(file)).map(|file| file.key).collect();
        let inputs: Vec<ToCompact> = recordings
            .into_iter()
            .filter(|recording| recording.file.as_ref().is_none_or(|file| old.contains(file)))
            .collect();
        let old: Vec<ObjectKey> = old.into_iter().collect();
        let mut new = Vec::new();
        for chunk in chunks(inputs, self.rule.samples) {
            new.extend(self.make(lease, partition, &old, chunk).await?);
        }
        fail::fail_point!("compaction");
        let now = self.clock.now();
        self.database.replace_lake_files(lease, &old, &new, now, now + self.rule.lease).await?;
        done.partitions += 1;
        done.files += new.len() as u64;
        done.recordings += new.iter().map(|file| file.recordings.len() as u64).sum::<u64>();
        Ok(())
    }

    /// Without what is new and has no file of its own: its objects are deleted, and its row will be.
    async fn there(&self, of: &LakePartition, recordings: Vec<ToCompact>) -> Result<Vec<ToCompact>, CompactionError> {
        let mut there = Vec::with_capacity(recordings.len());
        for recording in recordings {
            if recording.file.is_none() {
                match self.objects.size(&own_key(of, &recording)).await {
                    Err(ObjectError::NotFound) => continue,
                    size => size?,
                };
            }
            there.push(recording);
        }
        Ok(there)
    }

    async fn make(
        &self,
        lease: CompactionLease,
        partition: &LakePartition,
        old: &[ObjectKey],
        recordings: Vec<ToCompact>,
    ) -> Result<Option<NewFile>, CompactionError> {
        let LakePartition { patient, movement, year, month } = partition;
        let key = ObjectKey::compacted(patient, movement, (*year, *month), &name(lease, old, &recordings));
        self.database.begin_lake_file(&key, partition, self.clock.now()).await?;
        let mut file = Making::begin(self.objects.stage())?;
        let mut held = self.clock.now();
        let mut kept = Vec::with_capacity(recordings.len());
        for recording in recordings {
            if self.clock.now() - held > self.rule.lease / 4 {
                held = self.clock.now();
                self.hold(lease).await?;
            }
            match self.objects.get(&own_key(partition, &recording), None).await {
                Ok(bytes) => match file.add(bytes, &recording).await {
                    Ok(added) => file = added,
                    Err(error) => {
                        tracing::warn!(test_event = %recording.id, "a recording cannot be put into a compacted file");
                        return Err(error);
                    }
                },
                // It was deleted since it was listed.
                Err(ObjectError::NotFound) if recording.file.is_none() => continue,
                // So was this, or the file that would be replaced holds the last that there is of it.
                Err(ObjectError::NotFound) => {
                    tracing::warn!(test_event = %recording.id, "the own file of a compacted recording is gone");
                    return Err(CompactionError::Missing);
                }
                Err(error) => return Err(error.into()),
            }
            kept.push(recording);
        }
        let (staged, samples, taken) = file.end().await?;
        if kept.is_empty() {
            return Ok(None);
        }
        self.keep(lease, &staged, &key).await?;
        Ok(Some(NewFile { bytes: staged.len(), key, recordings: kept, samples, taken }))
    }
}

impl Compaction {
    /// Keeps a file that is made. However long that takes, the right to compact is held.
    async fn keep(&self, lease: CompactionLease, staged: &Staged, key: &ObjectKey) -> Result<(), CompactionError> {
        let every = (self.rule.lease / 4).to_std().unwrap_or_default().max(SHORTEST_HOLD);
        let mut keep = std::pin::pin!(self.objects.keep(staged, key));
        loop {
            match tokio::time::timeout(every, &mut keep).await {
                Ok(kept) => return Ok(kept?),
                Err(_) => self.hold(lease).await?,
            }
        }
    }
}

fn own_key(LakePartition { patient, movement, year, month }: &LakePartition, recording: &ToCompact) -> ObjectKey {
    let day = Day { year: *year, month: *month, day: recording.day };
    ObjectKey::parquet(patient, movement, day, recording.id)
}

/// Recordings in files of at most so many samples, or of one recording.
fn chunks(recordings: Vec<ToCompact>, most: u64) -> Vec<Vec<ToCompact>> {
    let mut chunks: Vec<Vec<ToCompact>> = Vec::new();
    let mut samples = u64::MAX;
    for recording in recordings {
        samples = samples.saturating_add(recording.samples);
        match chunks.last_mut().filter(|_| samples <= most) {
            Some(chunk) => chunk.push(recording),
            None => {
                samples = recording.samples;
                chunks.push(vec![recording]);
            }
        }
    }
    chunks
}

/// Of the right under which a file is made, of what is in it and of what it replaces.
fn name(lease: CompactionLease, old: &[ObjectKey], recordings: &[ToCompact]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(FORM).update(&lease.fence().to_le_bytes());
    for key in old {
        hasher.update(key.as_str().as_bytes()).update(&[0]);
    }
    for recording in recordings {
        hasher.update(uuid::Uuid::from(recording.id).as_bytes()).update(&recording.digest.0);
    }
    hasher.finalize().to_hex().chars().take(32).collect()
}
