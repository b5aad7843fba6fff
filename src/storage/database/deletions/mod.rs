//! Deletion: the rows of a recording, or of its whole test event, are gone at once, and what was learned from it serves no
//! more. The keys of all its objects are kept until a job has removed them, so that none is left that no row names.
//!
//! Whoever accepts or deletes a test event has its lock; whoever changes what is learned for a patient and movement has that
//! of their row in `training_counts`, and takes it after the rows of the jobs that it ends.

pub(super) mod pending;
pub(super) mod unlearning;

pub use pending::PendingDeletion;

use super::jobs::JobKind;
use super::recordings::{read_movement, read_recording_day};
use super::statement::Row;
use super::{Database, DatabaseError, Result, TrainingRule, Transaction, statements};
use crate::domain::ids::{Movement, PatientId, TestEventId};
use crate::domain::object_key::ObjectKey;
use crate::domain::recording::Day;
use chrono::{DateTime, Datelike, TimeDelta, Utc};
use unlearning::{Begun, Learned};
use uuid::Uuid;

/// Days around an event's start on which its recording may be kept: clocks are local, and phones are a day off at midnight.
const DAYS_AROUND: i64 = 2;

/// How often a deletion is tried that PostgreSQL ends for another's sake.
const ATTEMPTS: u32 = 5;

/// What is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    /// The recording and all that was made from it; the event stays. Where no recording is known, its raw object may be
    /// there: under the key of this movement and day, too.
    Recording(Movement, Day),
    /// The event, and with it its recording.
    Event,
}

/// How long work that was under way may go on to make objects.
#[derive(Debug, Clone, Copy)]
pub struct Grace {
    /// A conversion.
    pub conversion: TimeDelta,
    /// A training.
    pub training: TimeDelta,
    /// A report.
    pub report: TimeDelta,
}

/// Who deletes what.
#[derive(Debug, Clone)]
pub struct DeletionRequest {
    /// Of which event.
    pub id: TestEventId,
    /// Whose event it must be.
    pub patient: PatientId,
    /// What.
    pub what: Deleted,
    /// From how many recordings on a model is trained.
    pub rule: TrainingRule,
    /// How long what is under way may go on.
    pub grace: Grace,
}

statements! {
    /// SQLite has one that writes at a time.
    LOCK_EVENT = each("SELECT $1 AS locked", "SELECT lock_test_event($1) IS NULL AS locked");
    DOOMED = shared(
        "SELECT test_type, start_time, movement, year, month, day, raw_key, lane, training_ordinal
         FROM test_events LEFT JOIN recordings USING (test_event_id)
         WHERE test_event_id = $1 AND test_events.patient_id = $2",
    );
    /// One that was ever leased may be under way, whatever its state: whoever was struck off may go on for a while.
    DELETE_JOBS = shared(
        "DELETE FROM jobs WHERE kind IN ('convert', 'train', 'score') AND subject = $1
         RETURNING kind, job_id, fence",
    );
    DELETE_SCORE = shared("DELETE FROM scores WHERE test_event_id = $1");
    DELETE_FEATURES = shared("DELETE FROM features WHERE test_event_id = $1");
    DELETE_QUALITY = shared("DELETE FROM quality_reports WHERE test_event_id = $1");
    DELETE_RANGES = shared("DELETE FROM axis_ranges WHERE test_event_id = $1");
    DELETE_RECORDING = shared("DELETE FROM recordings WHERE test_event_id = $1");
    DELETE_EVENT = shared("DELETE FROM test_events WHERE test_event_id = $1");
    FORGET_SCORE = shared("UPDATE test_events SET balance_score = NULL WHERE test_event_id = $1");
    ADD_DELETION = shared(
        "INSERT INTO deletions (test_event_id, times, patient_id, pending, swept, sweep_at, report_sweep_at, requested_at)
         VALUES ($1, 1, $2, true, false, $3, $4, $5)
         ON CONFLICT (test_event_id) DO UPDATE SET times = deletions.times + 1,
             patient_id = excluded.patient_id, pending = true, swept = false,
             sweep_at = CASE WHEN excluded.sweep_at > deletions.sweep_at THEN excluded.sweep_at ELSE deletions.sweep_at END,
             report_sweep_at = CASE WHEN excluded.report_sweep_at > deletions.report_sweep_at
                                    THEN excluded.report_sweep_at ELSE deletions.report_sweep_at END,
             requested_at = excluded.requested_at",
    );
    ADD_DELETION_OBJECTS = each(
        "INSERT INTO deletion_objects (test_event_id, object_key) SELECT $1, value FROM json_each($2) WHERE true
         ON CONFLICT (test_event_id, object_key) DO NOTHING",
        "INSERT INTO deletion_objects (test_event_id, object_key)
         SELECT $1, value FROM json_array_elements_text(CAST($2 AS json))
         ON CONFLICT (test_event_id, object_key) DO NOTHING",
    );
    /// One that is there begins anew: whoever holds it does not know of all the objects.
    ENQUEUE_DELETION = each(
        "INSERT INTO jobs (kind, subject, lane, state, due_at, enqueued_at, position)
         VALUES ('delete', $1, $2, 'ready', $3, $3, max(
             coalesce((SELECT max(position) + 1 FROM jobs
                       WHERE kind = 'delete' AND lane = $2 AND state IN ('ready', 'leased')), 0),
             coalesce((SELECT min(position) FROM jobs WHERE kind = 'delete' AND state IN ('ready', 'leased')), 0)))
         ON CONFLICT (kind, subject) DO UPDATE SET state = 'ready', owner = NULL, due_at = excluded.due_at,
             fence = jobs.fence + 1, attempts = 0",
        "INSERT INTO jobs (kind, subject, lane, state, due_at, enqueued_at, position)
         VALUES ('delete', $1, $2, 'ready', $3, $3, greatest(
             coalesce((SELECT max(position) + 1 FROM jobs
                       WHERE kind = 'delete' AND lane = $2 AND state IN ('ready', 'leased')), 0),
             coalesce((SELECT min(position) FROM jobs WHERE kind = 'delete' AND state IN ('ready', 'leased')), 0)))
         ON CONFLICT (kind, subject) DO UPDATE SET state = 'ready', owner = NULL, due_at = excluded.due_at,
             fence = jobs.fence + 1, attempts = 0",
    );
}

impl Database {
    /// Deletes a recording or a whole test event: its rows at once, its objects by a job. Models that learned from it are
    /// retired; where enough training recordings remain, a training is queued, and what waited for a score waits for its model
    /// where no other serves. Whether there was such an event of the patient; otherwise nothing was written.
    ///
    /// # Errors
    /// When the database cannot; then nothing happened.
    pub async fn delete_event(&self, request: &DeletionRequest, now: DateTime<Utc>) -> Result<bool> {
        for _ in 1..ATTEMPTS {
            match self.try_to_delete_event(request, now).await {
                // People who taught each other, deleted at once: one of the two gives way.
                Err(error) if error.is_deadlock() => {}
                done => return done,
            }
        }
        self.try_to_delete_event(request, now).await
    }

    async fn try_to_delete_event(&self, request: &DeletionRequest, now: DateTime<Utc>) -> Result<bool> {
        let mut transaction = self.begin().await?;
        let id = Uuid::from(request.id);
        transaction.statement(LOCK_EVENT).bind(id).one().await?;
        let Some(event) = transaction.doomed(request).await? else { return Ok(false) };
        let mut objects = Objects { keys: vec![ObjectKey::pdf(&request.patient, request.id)], sweep_at: now };
        let lane = match event.recording {
            Some(recording) => transaction.delete_recording(request, recording, &mut objects, now).await?,
            None => {
                objects.keys.extend(event.possible_keys(request));
                request.patient.to_string()
            }
        };
        if request.what == Deleted::Event {
            transaction.statement(DELETE_EVENT).bind(id).execute().await?;
        }
        transaction.add_deletion(request, &objects, &lane, now).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

/// What is to be removed, and until when it may be made anew.
struct Objects {
    keys: Vec<ObjectKey>,
    sweep_at: DateTime<Utc>,
}

impl Objects {
    /// Models' artifacts.
    fn artifacts(&mut self, models: &[Row]) -> Result<()> {
        for model in models {
            self.keys.push(ObjectKey::from_row(model.get("artifact_key")?));
        }
        Ok(())
    }

    /// Work on them was under way.
    fn under_way(&mut self, until: DateTime<Utc>) {
        self.sweep_at = self.sweep_at.max(until);
    }
}

/// An event that is about to go.
struct Event {
    test_type: String,
    start_time: Option<DateTime<Utc>>,
    recording: Option<Doomed>,
}

/// Its recording.
struct Doomed {
    movement: Movement,
    day: Day,
    raw_key: ObjectKey,
    lane: String,
    ordinal: Option<i64>,
}

impl Event {
    fn read(row: &Row) -> Result<Self> {
        let recording = match row.get::<Option<String>>("raw_key")? {
            None => None,
            Some(raw_key) => Some(Doomed {
                movement: read_movement(row)?,
                day: read_recording_day(row)?,
                raw_key: ObjectKey::from_row(raw_key),
                lane: row.get("lane")?,
                ordinal: row.get("training_ordinal")?,
            }),
        };
        Ok(Self { test_type: row.get("test_type")?, start_time: row.get("start_time")?, recording })
    }

    /// Where the raw object of an event may be of which no recording is known: an upload that was cut short before its rows
    /// were made, or one that a phone put into the bucket and of which nobody has heard yet.
    fn possible_keys(&self, request: &DeletionRequest) -> Vec<ObjectKey> {
        let mut places = Vec::new();
        if let Ok(movement) = Movement::new(self.test_type.as_str()) {
            let around = self.start_time.into_iter().flat_map(|start| {
                let days = (-DAYS_AROUND..=DAYS_AROUND).filter_map(TimeDelta::try_days);
                days.filter_map(move |days| start.checked_add_signed(days))
            });
            places.extend(
                around.filter_map(|time| Some((movement.clone(), Day::new(time.year(), time.month(), time.day())?))),
            );
            // Where training recordings are kept the day does not count.
            places.push((movement, Day { year: 1970, month: 1, day: 1 }));
        }
        if let Deleted::Recording(movement, day) = &request.what {
            places.push((movement.clone(), *day));
        }
        let key = |training| {
            move |(movement, day): &(Movement, Day)| {
                ObjectKey::raw(&request.patient, movement, *day, training, request.id)
            }
        };
        let mut keys: Vec<_> = places.iter().map(key(false)).chain(places.iter().map(key(true))).collect();
        keys.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        keys.dedup();
        keys
    }
}

impl Transaction {
    async fn doomed(&mut self, request: &DeletionRequest) -> Result<Option<Event>> {
        let read = self.statement(DOOMED).bind(Uuid::from(request.id)).bind(request.patient.as_str());
        read.optional().await?.as_ref().map(Event::read).transpose()
    }

    /// Deletes the rows of a recording and what is to be done with it; its lane.
    async fn delete_recording(
        &mut self,
        request: &DeletionRequest,
        found: Doomed,
        objects: &mut Objects,
        now: DateTime<Utc>,
    ) -> Result<String> {
        let (id, patient) = (Uuid::from(request.id), &request.patient);
        // A conversion that is about to end has its job's row and waits for the count: so in that order here, too. What it
        // has added meanwhile is found the second time.
        let mut jobs = self.statement(DELETE_JOBS).bind(id).all().await?;
        self.lock_count(patient, &found.movement).await?;
        jobs.extend(self.statement(DELETE_JOBS).bind(id).all().await?);
        // Only now its ordinal is the last word.
        let recording = self.doomed(request).await?.and_then(|event| event.recording).unwrap_or(found);
        let Doomed { movement, day, raw_key, lane, ordinal } = recording;
        let mut trained = false;
        for job in &jobs {
            let trains = job.get::<String>("kind")? == JobKind::Train.name();
            trained |= trains;
            let leases: i64 = job.get("fence")?;
            if leases > 0 {
                objects.under_way(now + if trains { request.grace.training } else { request.grace.conversion });
            }
            if trains {
                let ordinal = ordinal.unwrap_or_default();
                let begun = Begun { asked_for: request.id, ordinal, job: job.get("job_id")?, leases };
                objects.keys.extend(begun.artifacts(patient, &movement));
            }
        }
        objects.keys.extend([
            raw_key,
            ObjectKey::csv(patient, &movement, day, request.id),
            ObjectKey::parquet(patient, &movement, day, request.id),
        ]);
        if let Some(ordinal) = ordinal {
            let learned = Learned { movement: &movement, ordinal, trained };
            self.unlearn(request, &learned, objects, now).await?;
        } else if trained {
            self.pass_training_on(request, &movement, objects, now).await?;
        }
        let scored = self.statement(DELETE_SCORE).bind(id).execute().await?;
        for rows in [DELETE_FEATURES, DELETE_QUALITY, DELETE_RANGES, DELETE_RECORDING] {
            self.statement(rows).bind(id).execute().await?;
        }
        if scored > 0 {
            self.statement(FORGET_SCORE).bind(id).execute().await?;
        }
        Ok(lane)
    }

    async fn add_deletion(
        &mut self,
        request: &DeletionRequest,
        objects: &Objects,
        lane: &str,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let keys: Vec<_> = objects.keys.iter().map(ObjectKey::as_str).collect();
        let keys = serde_json::to_string(&keys).map_err(|_| DatabaseError::Corrupt("object key"))?;
        let id = Uuid::from(request.id);
        let add = self.statement(ADD_DELETION).bind(id).bind(request.patient.as_str());
        add.bind(objects.sweep_at).bind(now + request.grace.report).bind(now).execute().await?;
        self.statement(ADD_DELETION_OBJECTS).bind(id).bind(&keys).execute().await?;
        self.statement(ENQUEUE_DELETION).bind(id).bind(lane).bind(now).execute().await?;
        Ok(())
    }
}
