//! What compaction of the lake keeps: who compacts, which recordings and files it is about, and the change from the old files to
//! the new ones, which is one transaction.
//!
//! A transaction that deletes a recording has its row first and the row of its compacted file after it; compaction takes them in
//! the same order.

use super::lake::{json, read_count};
use super::patients::read_patient_id;
use super::recordings::{read_digest, read_movement};
use super::statement::Row;
use super::{Database, DatabaseError, Result, Transaction, statements};
use crate::domain::ids::{Movement, PatientId, TestEventId};
use crate::domain::object_key::ObjectKey;
use crate::storage::objects::Digest;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The right to compact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactionLease {
    fence: i64,
    /// Whether it is time for what is new, too; otherwise it was taken for the sake of what is deleted.
    pub due: bool,
}

impl CompactionLease {
    /// Grows with each lease: no two have the same.
    #[must_use]
    pub fn fence(self) -> i64 {
        self.fence
    }
}

/// When compaction may be taken.
#[derive(Debug, Clone, Copy)]
pub struct CompactionTime {
    /// Now.
    pub now: DateTime<Utc>,
    /// Until when it is taken.
    pub until: DateTime<Utc>,
    /// Whether what is new is compacted from time to time.
    pub periodic: bool,
    /// Files that were replaced, or left by a dead compaction, before then are to be removed.
    pub removable: DateTime<Utc>,
}

#[cfg(test)]
impl CompactionLease {
    /// One that somebody else has by now.
    pub(super) fn stale() -> Self {
        Self { fence: -1, due: true }
    }
}

/// What is compacted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakePartition {
    /// Whose.
    pub patient: PatientId,
    /// Of which movement.
    pub movement: Movement,
    /// Year of the local days.
    pub year: i32,
    /// Month, 1 to 12.
    pub month: u32,
}

/// A recording whose samples are to be in a compacted file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToCompact {
    /// Which.
    pub id: TestEventId,
    /// Day of the month.
    pub day: u32,
    /// Digest of its raw object: another recording under the same id is another recording.
    pub digest: Digest,
    /// How many samples.
    pub samples: u64,
    /// The compacted file that it is in.
    pub file: Option<ObjectKey>,
}

/// A live compacted file, as compaction weighs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveFile {
    /// Where it is.
    pub key: ObjectKey,
    /// How many samples.
    pub samples: u64,
    /// How many recordings in it are no more.
    pub gone: u64,
}

/// A compacted file that is durable.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// Where it is.
    pub key: ObjectKey,
    /// What is in it.
    pub recordings: Vec<ToCompact>,
    /// Its length.
    pub bytes: u64,
    /// How many samples.
    pub samples: u64,
    /// First and last time of them, microseconds since 1970 UTC.
    pub taken: (i64, i64),
}

statements! {
    /// Where it is time by $4, at once where $6, and, whether or not it is time, where a file holds what was deleted or is to be removed.
    TAKE_COMPACTION = shared(
        "UPDATE lake_compaction SET owner = $1, fence = fence + 1, held_until = $2
         WHERE only_row = 1 AND held_until <= $3 AND ($6 OR next_at <= $4 OR (rewrite_at <= $3 AND (
             (SELECT min(object_key) FROM lake_files WHERE state = 'live' AND gone > 0 AND object_key > '') IS NOT NULL
             OR (SELECT min(changed_at) FROM lake_files WHERE state <> 'live' AND changed_at < $5) IS NOT NULL)))
         RETURNING fence, coalesce(next_at <= $4, false) AS due",
    );
    RELEASE_COMPACTION = shared(
        "UPDATE lake_compaction SET fence = fence + 1, held_until = $1, next_at = $1 WHERE only_row = 1 AND held_until > $1",
    );
    HOLD_COMPACTION = shared("UPDATE lake_compaction SET held_until = $1 WHERE only_row = 1 AND fence = $2");
    END_COMPACTION = shared(
        "UPDATE lake_compaction SET held_until = $1, next_at = coalesce($2, next_at), rewrite_at = $3
         WHERE only_row = 1 AND fence = $4",
    );
    /// Of these patients: months with at least $2 new recordings, or with one that came before $3.
    TO_COMPACT = each(
        "SELECT recordings.patient_id, movement, year, month
         FROM json_each($1) AS asked JOIN recordings ON recordings.patient_id = asked.value
             JOIN quality_reports USING (test_event_id)
         WHERE lake_file IS NULL GROUP BY recordings.patient_id, movement, year, month
         HAVING count(*) >= $2 OR min(received_at) < $3",
        "SELECT recordings.patient_id, movement, year, month
         FROM recordings JOIN quality_reports USING (test_event_id)
         WHERE recordings.patient_id = ANY (ARRAY(SELECT json_array_elements_text($1::text::json))) AND lake_file IS NULL GROUP BY recordings.patient_id, movement, year, month
         HAVING count(*) >= $2 OR min(received_at) < $3",
    );
    TO_REWRITE = shared(
        "SELECT patient_id, movement, year, month FROM lake_files WHERE state = 'live' AND gone > 0 AND object_key > $1
         ORDER BY object_key LIMIT $2",
    );
    LIVE_FILES = shared(
        "SELECT object_key, samples, gone FROM lake_files
         WHERE state = 'live' AND patient_id = $1 AND movement = $2 AND year = $3 AND month = $4 ORDER BY object_key",
    );
    OF_A_PARTITION = shared(
        "SELECT recordings.test_event_id, day, digest, recordings.samples, lake_file, start_time
         FROM recordings JOIN quality_reports USING (test_event_id) JOIN test_events USING (test_event_id)
         WHERE lake_file IS NULL AND recordings.patient_id = $1 AND movement = $2 AND year = $3 AND month = $4
         UNION ALL
         SELECT recordings.test_event_id, day, digest, recordings.samples, lake_file, start_time
         FROM lake_files JOIN recordings ON lake_file = object_key JOIN test_events USING (test_event_id)
         WHERE state = 'live' AND lake_files.patient_id = $1 AND lake_files.movement = $2 AND lake_files.year = $3
               AND lake_files.month = $4
         ORDER BY 2, 6, 1",
    );
    BEGIN_FILE = shared(
        "INSERT INTO lake_files (object_key, patient_id, movement, year, month, state, changed_at)
         VALUES ($1, $2, $3, $4, $5, 'making', $6)
         ON CONFLICT (object_key) DO UPDATE SET changed_at = excluded.changed_at WHERE lake_files.state = 'making'",
    );
    MOVE_RECORDINGS = each(
        "UPDATE recordings SET lake_file = $1 FROM json_each($2) AS input
         WHERE test_event_id = input.key AND lower(hex(digest)) = input.value
               AND (lake_file IS NULL OR lake_file IN (SELECT value FROM json_each($3)))",
        "UPDATE recordings SET lake_file = $1 FROM json_each_text($2::text::json) AS input (id, digest)
         WHERE test_event_id = ANY (ARRAY(SELECT json_object_keys($2::text::json)::uuid))
               AND test_event_id = input.id::uuid AND encode(recordings.digest, 'hex') = input.digest
               AND (lake_file IS NULL OR lake_file IN (SELECT json_array_elements_text($3::text::json)))",
    );
    FILE_IS_LIVE = shared(
        "UPDATE lake_files SET state = 'live', bytes = $2, samples = $3, recordings = $4, gone = $5, first_ts = $6, last_ts = $7,
             changed_at = $8
         WHERE object_key = $1 AND state = 'making'",
    );
    FILES_ARE_REPLACED = each(
        "UPDATE lake_files SET state = 'replaced', changed_at = $2 WHERE object_key IN (SELECT value FROM json_each($1))",
        "UPDATE lake_files SET state = 'replaced', changed_at = $2
         WHERE object_key = ANY (ARRAY(SELECT json_array_elements_text($1::text::json)))",
    );
    FILES_TO_REMOVE = shared(
        "SELECT object_key FROM lake_files WHERE state <> 'live' AND changed_at < $1 ORDER BY changed_at LIMIT $2",
    );
    FORGET_FILE = shared("DELETE FROM lake_files WHERE object_key = $1 AND state <> 'live'");
}

impl Database {
    /// Takes the right to compact, where nobody has it and there is something to do: it is time, a compacted file holds what
    /// was deleted, or a file is to be removed. `at_once` it is always time.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn take_compaction(
        &self,
        owner: &str,
        time: &CompactionTime,
        at_once: bool,
    ) -> Result<Option<CompactionLease>> {
        let take = self.write_redoable(TAKE_COMPACTION).bind(owner).bind(time.until).bind(time.now);
        let take = take.bind(time.periodic.then_some(time.now)).bind(time.removable).bind(at_once);
        let read = |row: Row| {
            let due: bool = row.get("due")?;
            Ok(CompactionLease { fence: row.get("fence")?, due: at_once || due })
        };
        take.optional().await?.map(read).transpose()
    }

    /// Takes it from whoever has it: for the start of a process that shares its database with no other.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn release_compaction(&self, now: DateTime<Utc>) -> Result<()> {
        self.write_redoable(RELEASE_COMPACTION).bind(now).execute().await?;
        Ok(())
    }

    /// Holds it for longer.
    ///
    /// # Errors
    /// [`DatabaseError::Fenced`] when somebody else has it by now.
    pub async fn hold_compaction(&self, lease: CompactionLease, until: DateTime<Utc>) -> Result<()> {
        one(self.write_redoable(HOLD_COMPACTION).bind(until).bind(lease.fence).execute().await?)
    }

    /// Gives it back: until `next` where it was time for it, and for the sake of deletions until `rewrite`.
    ///
    /// # Errors
    /// [`DatabaseError::Fenced`] when somebody else has it by now.
    pub async fn end_compaction(
        &self,
        lease: CompactionLease,
        now: DateTime<Utc>,
        next: DateTime<Utc>,
        rewrite: DateTime<Utc>,
    ) -> Result<()> {
        let end = self.write_redoable(END_COMPACTION).bind(now).bind(lease.due.then_some(next)).bind(rewrite);
        one(end.bind(lease.fence).execute().await?)
    }

    /// Of these patients: what has at least `new` recordings in no compacted file, or one that came before `before`.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn to_compact(
        &self,
        patients: &[PatientId],
        new: u32,
        before: DateTime<Utc>,
    ) -> Result<Vec<LakePartition>> {
        let ids = json(patients.iter().map(PatientId::as_str));
        let rows = self.read(TO_COMPACT).bind(ids.as_str()).bind(new).bind(before).all().await?;
        rows.iter().map(read_partition).collect()
    }

    /// What has compacted files with recordings in them that are no more, at most `limit` files.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn to_rewrite(&self, limit: u32) -> Result<Vec<LakePartition>> {
        let rows = self.read(TO_REWRITE).bind("").bind(limit).all().await?;
        let mut partitions = rows.iter().map(read_partition).collect::<Result<Vec<_>>>()?;
        partitions.dedup();
        Ok(partitions)
    }

    /// The live files of a partition, and every converted recording that is in them or in none, in the order of their time.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn lake_partition(&self, of: &LakePartition) -> Result<(Vec<LiveFile>, Vec<ToCompact>)> {
        let (patient, movement) = (of.patient.as_str(), of.movement.as_str());
        let files = self.read(LIVE_FILES).bind(patient).bind(movement).bind(of.year).bind(of.month).all().await?;
        let rows = self.read(OF_A_PARTITION).bind(patient).bind(movement).bind(of.year).bind(of.month).all().await?;
        let files = files.iter().map(|row| {
            Ok(LiveFile {
                key: ObjectKey::from_row(row.get("object_key")?),
                samples: read_count(row, "samples")?,
                gone: read_count(row, "gone")?,
            })
        });
        let recordings = rows.iter().map(|row| {
            Ok(ToCompact {
                id: row.get::<Uuid>("test_event_id")?.into(),
                day: row.get("day")?,
                digest: read_digest(row.get("digest")?)?,
                samples: read_count(row, "samples")?,
                file: row.get::<Option<String>>("lake_file")?.map(ObjectKey::from_row),
            })
        });
        Ok((files.collect::<Result<_>>()?, recordings.collect::<Result<_>>()?))
    }

    /// Notes that an object is about to be made: from now on it is used or removed.
    ///
    /// # Errors
    /// [`DatabaseError::Fenced`] when there is such an object that is not being made.
    pub async fn begin_lake_file(&self, key: &ObjectKey, of: &LakePartition, now: DateTime<Utc>) -> Result<()> {
        let begin = self.write(BEGIN_FILE).bind(key.as_str()).bind(of.patient.as_str()).bind(of.movement.as_str());
        one(begin.bind(of.year).bind(of.month).bind(now).execute().await?)
    }

    /// Replaces files by new ones, all at once: what is in the new ones and still there is read from them from now on.
    ///
    /// # Errors
    /// [`DatabaseError::Fenced`] when somebody else compacts by now; then nothing changed.
    pub async fn replace_lake_files(
        &self,
        lease: CompactionLease,
        old: &[ObjectKey],
        new: &[NewFile],
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<()> {
        let mut transaction = self.begin().await?;
        one(transaction.statement(HOLD_COMPACTION).bind(until).bind(lease.fence).execute().await?)?;
        let old = json(old.iter().map(ObjectKey::as_str));
        for file in new {
            transaction.make_live(file, &old, now).await?;
        }
        transaction.statement(FILES_ARE_REPLACED).bind(old.as_str()).bind(now).execute().await?;
        transaction.commit().await
    }

    /// Objects that are used no more since before then, those first that have been so for longest.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn lake_files_to_remove(&self, before: DateTime<Utc>, limit: u32) -> Result<Vec<ObjectKey>> {
        let rows = self.read(FILES_TO_REMOVE).bind(before).bind(limit).all().await?;
        rows.iter().map(|row| Ok(ObjectKey::from_row(row.get("object_key")?))).collect()
    }

    /// Forgets an object that was removed.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn forget_lake_file(&self, key: &ObjectKey) -> Result<()> {
        self.write_redoable(FORGET_FILE).bind(key.as_str()).execute().await?;
        Ok(())
    }
}

impl Transaction {
    async fn make_live(&mut self, file: &NewFile, old: &str, now: DateTime<Utc>) -> Result<()> {
        let inputs: serde_json::Map<String, serde_json::Value> =
            file.recordings.iter().map(|input| (input.id.to_string(), hex(input.digest).into())).collect();
        let inputs = serde_json::Value::Object(inputs).to_string();
        let moved = self.statement(MOVE_RECORDINGS).bind(file.key.as_str()).bind(inputs.as_str()).bind(old);
        let moved = moved.execute().await?;
        let gone = (file.recordings.len() as u64).saturating_sub(moved);
        let live =
            self.statement(FILE_IS_LIVE).bind(file.key.as_str()).bind(integer(file.bytes)).bind(integer(file.samples));
        let live = live.bind(integer(file.recordings.len() as u64)).bind(integer(gone));
        one(live.bind(file.taken.0).bind(file.taken.1).bind(now).execute().await?)
    }
}

/// That a statement changed the row that it is about.
fn one(changed: u64) -> Result<()> {
    if changed == 1 { Ok(()) } else { Err(DatabaseError::Fenced) }
}

fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn hex(digest: Digest) -> String {
    blake3::Hash::from_bytes(digest.0).to_hex().to_string()
}

fn read_partition(row: &Row) -> Result<LakePartition> {
    Ok(LakePartition {
        patient: read_patient_id(row)?,
        movement: read_movement(row)?,
        year: row.get("year")?,
        month: row.get("month")?,
    })
}
