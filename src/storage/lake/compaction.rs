//! Compaction: recordings of a patient, movement and month in one file, in the order of their time, so that a query costs what
//! its answer is and not a file a recording.
//!
//! A recording's own file stays. Which file a query reads a recording from is told by its row, and changes for all of a
//! compaction in one transaction: nothing is read twice or not at all, whenever a compaction dies. An object is noted before
//! it is made, so that what a dead compaction left is found and removed; what is replaced stays until no query reads it any
//! more. The name of an object depends on what is in it and on what it replaces: made again it is the same, and no name comes
//! back.

#[cfg(test)]
mod tests;

use super::LakeError;
use super::parquet::{SAMPLE_FIELDS, compacted_properties};
use crate::domain::access::LakeScope;
use crate::domain::clock::SharedClock;
use crate::domain::object_key::ObjectKey;
use crate::domain::recording::Day;
use crate::storage::database::{CompactionLease, Database, DatabaseError, LakePartition, LiveFile, NewFile, ToCompact};
use crate::storage::objects::{ObjectError, Objects, Staged};
use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow::array::{ArrayRef, AsArray, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, TimestampMicrosecondType};
use bytes::Bytes;
use chrono::TimeDelta;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

/// Patients looked through at once.
const PAGE: u32 = 500;
/// Files removed at once.
const REMOVED_AT_ONCE: u32 = 200;
/// Of the form of compacted files: another one has other names.
const FORM: &[u8] = b"compacted samples 1";

/// What compaction goes by.
#[derive(Debug, Clone)]
pub struct CompactionRule {
    /// New recordings of a month that are compacted at once; fewer wait for a day.
    pub recordings: u32,
    /// Samples of the largest file: one that has half of them is left as it is.
    pub samples: u64,
    /// Time between two compactions.
    pub every: TimeDelta,
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
    /// The program is stopping, or the work panicked.
    #[error("the work stopped")]
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
        let taken = self.database.take_compaction(&self.owner, now, now + self.rule.lease, when == When::Now).await?;
        let Some(lease) = taken else { return Ok(None) };
        let outcome = self.run_leased(lease, when).await;
        let now = self.clock.now();
        // One that failed is tried again soon, by whoever is first.
        let next = if outcome.is_ok() { self.rule.every } else { self.rule.lease.min(self.rule.every) };
        self.database.end_compaction(lease, now, now + next).await?;
        outcome.map(Some)
    }

    async fn run_leased(&self, lease: CompactionLease, when: When) -> Result<Compacted, CompactionError> {
        let mut done = Compacted { removed: self.remove(lease).await?, ..Compacted::default() };
        for partition in self.database.to_rewrite(PAGE).await? {
            self.compact(lease, &partition, &mut done).await?;
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
                self.compact(lease, &partition, &mut done).await?;
            }
        }
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
        let key = ObjectKey::compacted(patient, movement, (*year, *month), &name(old, &recordings));
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
                Ok(bytes) => file = file.add(bytes, &recording).await?,
                // Its objects are deleted, and its row will be: it stays where it is until then.
                Err(ObjectError::NotFound) => continue,
                Err(error) => return Err(error.into()),
            }
            kept.push(recording);
        }
        let (staged, samples, taken) = file.end().await?;
        if kept.is_empty() {
            return Ok(None);
        }
        match self.objects.keep(&staged, &key).await {
            // A compaction that died had made it; nobody has read it.
            Err(ObjectError::Exists) => {
                self.objects.delete(&key).await?;
                self.objects.keep(&staged, &key).await?;
            }
            kept => kept?,
        }
        Ok(Some(NewFile { bytes: staged.len(), key, recordings: kept, samples, taken }))
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

/// Of what is in a file and what it replaces.
fn name(old: &[ObjectKey], recordings: &[ToCompact]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(FORM);
    for key in old {
        hasher.update(key.as_str().as_bytes()).update(&[0]);
    }
    for recording in recordings {
        hasher.update(uuid::Uuid::from(recording.id).as_bytes()).update(&recording.digest.0);
    }
    hasher.finalize().to_hex().chars().take(32).collect()
}

static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
    let mut fields = vec![
        Arc::new(Field::new("day", DataType::Int32, false)),
        Arc::new(Field::new("test_event_id", DataType::Utf8, false)),
    ];
    fields.extend(SAMPLE_FIELDS.iter().cloned());
    Arc::new(Schema::new(fields))
});

/// A file under way: in memory is a row group at most.
struct Making {
    staged: Staged,
    writer: ArrowWriter<Vec<u8>>,
    samples: u64,
    taken: (i64, i64),
}

impl Making {
    fn begin(staged: Staged) -> Result<Self, LakeError> {
        let writer = ArrowWriter::try_new(Vec::new(), SCHEMA.clone(), Some(compacted_properties()))?;
        Ok(Self { staged, writer, samples: 0, taken: (i64::MAX, i64::MIN) })
    }

    async fn add(mut self, own: Bytes, recording: &ToCompact) -> Result<Self, CompactionError> {
        let (day, id) = (recording.day, recording.id.to_string());
        let (mut this, bytes) = on_a_thread(move || {
            for batch in ParquetRecordBatchReaderBuilder::try_new(own)?.build()? {
                self.write(&batch?, day, &id)?;
            }
            let bytes = std::mem::take(self.writer.inner_mut());
            Ok((self, bytes))
        })
        .await?;
        if !bytes.is_empty() {
            this.staged = this.staged.write(bytes).await?;
        }
        Ok(this)
    }

    fn write(&mut self, own: &RecordBatch, day: u32, id: &str) -> Result<(), LakeError> {
        let rows = own.num_rows();
        let day = i32::try_from(day).unwrap_or_default();
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from_value(day, rows)),
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(id, rows))),
        ];
        columns.extend(own.columns().iter().cloned());
        if let Some(ts) = own.column_by_name("ts").and_then(|ts| ts.as_primitive_opt::<TimestampMicrosecondType>()) {
            self.taken.0 = self.taken.0.min(arrow::compute::min(ts).unwrap_or(i64::MAX));
            self.taken.1 = self.taken.1.max(arrow::compute::max(ts).unwrap_or(i64::MIN));
        }
        self.writer.write(&RecordBatch::try_new(SCHEMA.clone(), columns)?)?;
        self.samples += rows as u64;
        Ok(())
    }

    async fn end(self) -> Result<(Staged, u64, (i64, i64)), CompactionError> {
        let Self { staged, writer, samples, taken } = self;
        let bytes = on_a_thread(move || Ok(writer.into_inner()?)).await?;
        Ok((staged.write(bytes).await?, samples, taken))
    }
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LakeError> + Send + 'static,
) -> Result<T, CompactionError> {
    Ok(tokio::task::spawn_blocking(work).await.map_err(|_| CompactionError::Stopped)??)
}
