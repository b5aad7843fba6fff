//! The steps on SQLite: a transaction each, with a statement for each thing that is written. There is one that writes at
//! a time, so what it reads stays so until it ends.

use super::super::jobs::{Fence, Job, JobKind};
use super::super::models::{NewModel, serving};
use super::super::patients::read_patient_id;
use super::super::recordings::{read_movement, write_vector};
use super::super::statement::statements;
use super::super::{Database, Result, Transaction};
use super::constant_axes;
use super::{
    Acceptance, AfterConversion, AfterScoring, Conversion, NewRecording, Reported, Road, TrainingRule, count,
    read_leased,
};
use crate::domain::ids::{Movement, PatientId, TestEventId};
use crate::domain::recording::AXES;
use crate::domain::score::{Failure, RecordingStatus, Score};
use chrono::{DateTime, Utc};
use uuid::Uuid;

statements! {
    ADD_PLACEHOLDER = only_sqlite(
        "INSERT INTO patients (patient_id, placeholder, created_at) VALUES ($1, true, $2)
         ON CONFLICT (patient_id) DO NOTHING",
    );
    /// No row when the id is another patient's.
    CLAIM_EVENT = only_sqlite(
        "INSERT INTO test_events (test_event_id, patient_id, test_type, doctor_score, start_time, end_time, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (test_event_id) DO UPDATE SET
             doctor_score = coalesce(test_events.doctor_score, excluded.doctor_score),
             start_time = coalesce(test_events.start_time, excluded.start_time),
             end_time = coalesce(test_events.end_time, excluded.end_time)
         WHERE test_events.patient_id = excluded.patient_id
         RETURNING test_event_id",
    );
    ADD_RECORDING = only_sqlite(
        "INSERT INTO recordings (test_event_id, patient_id, movement, lane, digest, raw_key, raw_bytes, year, month, day,
                                 clinic_score, samples, received_at, updated_at, status, failure_code, failure_message)
         VALUES ($1, $2, $3,
                 coalesce((SELECT care_provider_id FROM patient_care_providers WHERE patient_id = $2
                           ORDER BY linked_at, care_provider_id LIMIT 1), $2),
                 $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $13, $14, $15)
         ON CONFLICT (test_event_id) DO NOTHING",
    );
    DIGEST = only_sqlite("SELECT digest FROM recordings WHERE test_event_id = $1");
    KIND_OF_RECORDING = only_sqlite(
        "SELECT patient_id, movement, lane, clinic_score IS NOT NULL AS training FROM recordings WHERE test_event_id = $1",
    );
    DELETIONS = only_sqlite("SELECT times, pending FROM deletions WHERE test_event_id = $1");
    COUNT_TRAINING = only_sqlite(
        "INSERT INTO training_counts (patient_id, movement, recordings, last_ordinal) VALUES ($1, $2, 1, 1)
         ON CONFLICT (patient_id, movement) DO UPDATE SET recordings = training_counts.recordings + 1,
             last_ordinal = training_counts.last_ordinal + 1
         RETURNING recordings, last_ordinal",
    );
    GENERATION = only_sqlite("SELECT generation FROM training_counts WHERE patient_id = $1 AND movement = $2");
    SERVES_PROVISIONALLY = only_sqlite(concat!(
        "SELECT count(*) > 0 AS provisional FROM models WHERE verdict = 'provisional' AND model_version = ",
        serving!("$1", "$2")
    ));
    HAS_MODEL = only_sqlite(concat!("SELECT ", serving!("$1", "$2"), " IS NOT NULL AS has_model"));
    /// See `finish_conversion` and `others_can_teach` in PostgreSQL's schema.
    OTHERS_CAN_TEACH = only_sqlite(
        "SELECT count(*) >= 3 AS can FROM (
             SELECT 1 FROM patient_care_providers AS own
                 JOIN patient_care_providers AS other ON other.care_provider_id = own.care_provider_id
                     AND other.patient_id <> own.patient_id
                 JOIN training_counts ON training_counts.patient_id = other.patient_id
                     AND training_counts.movement = $2 AND recordings >= 3
             WHERE own.patient_id = $1 AND own.care_provider_id = $3
                 AND NOT EXISTS (SELECT 1 FROM recordings JOIN jobs ON kind = 'train' AND subject = test_event_id
                                 WHERE recordings.patient_id = $1 AND recordings.movement = $2
                                     AND status = 'awaiting_model' AND jobs.state <> 'dead')
                 AND NOT EXISTS (SELECT 1 FROM patient_care_providers AS elsewhere
                                 WHERE elsewhere.patient_id = $1 AND elsewhere.care_provider_id <> $3)
             LIMIT 3)",
    );
    ADD_QUALITY = only_sqlite(
        "INSERT INTO quality_reports (test_event_id, samples, duration_seconds, effective_rate_hz, gaps, longest_gap_s,
                                      jitter_s, non_monotonic, constant_axes)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    );
    ADD_RANGES = only_sqlite(
        "INSERT INTO axis_ranges (test_event_id, axis, lowest, highest)
         VALUES ($1, $2, $3, $4), ($1, $5, $6, $7), ($1, $8, $9, $10), ($1, $11, $12, $13), ($1, $14, $15,
                $16), ($1, $17, $18, $19), ($1, $20, $21, $22), ($1, $23, $24, $25), ($1, $26, $27, $28)",
    );
    ADD_FEATURES = only_sqlite("INSERT INTO features (test_event_id, feature_set, vector) VALUES ($1, $2, $3)");
    CONVERTED = only_sqlite(
        "UPDATE recordings SET status = $1, sampling_rate_hz = $2, training_ordinal = $3, updated_at = $4
         WHERE test_event_id = $5",
    );
    IS_RETIRED = only_sqlite(
        "SELECT EXISTS (SELECT 1 FROM models WHERE model_version = $1
                            AND (retired_at IS NOT NULL OR (verdict = 'withdrawn' AND NOT pinned))) AS retired",
    );
    ADD_SCORE = only_sqlite(
        "INSERT INTO scores (test_event_id, value, lower, upper, model_version, backend, scored_at, provisional,
                             unlike_training, novelty)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    );
    SCORED = only_sqlite("UPDATE recordings SET status = 'scored', updated_at = $1 WHERE test_event_id = $2");
    SET_BALANCE_SCORE = only_sqlite("UPDATE test_events SET balance_score = $1 WHERE test_event_id = $2");
    ADD_MODEL = only_sqlite(
        "INSERT INTO models (model_version, patient_id, movement, training_recordings, artifact_key, artifact_digest,
                             feature_set, leave_one_out_error, card, created_at, first_ordinal, last_ordinal, generation,
                             verdict, lowest_score, highest_score)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    );
    ADD_SOURCES = only_sqlite(
        "INSERT INTO model_sources (patient_id, model_version, first_ordinal, last_ordinal)
         SELECT value ->> 'patient', $1, value ->> 'first', value ->> 'last' FROM json_each($2)",
    );
    CHANGED_SOURCES = only_sqlite(
        "SELECT count(*) AS changed FROM json_each($1)
             LEFT JOIN training_counts ON patient_id = value ->> 'patient' AND movement = $2
         WHERE generation IS NOT value ->> 'generation'",
    );
    LEASE = only_sqlite(
        "UPDATE jobs SET state = 'leased', owner = $1, due_at = $2, fence = fence + 1, attempts = attempts + 1
         WHERE job_id IN (SELECT job_id FROM jobs WHERE kind = $3 AND state = 'ready' ORDER BY position, job_id LIMIT $4)
         RETURNING job_id",
    );
    LEASED = only_sqlite(concat!(
        "SELECT job_id, fence, kind, subject, jobs.lane, attempts, enqueued_at,
                recordings.test_event_id, recordings.patient_id, recordings.movement, year, month, day, raw_key, digest,
                training_ordinal, features.feature_set, vector, model_version, artifact_key, artifact_digest,
                is_provisional, lowest_score, highest_score
         FROM jobs LEFT JOIN recordings ON recordings.test_event_id = subject
             LEFT JOIN features ON features.test_event_id = subject
             LEFT JOIN models ON kind = 'score' AND model_version = ",
        serving!("recordings.patient_id", "recordings.movement"),
        "
         WHERE job_id IN (SELECT value FROM json_each($1)) ORDER BY position, job_id"
    ));
}

pub(super) async fn accept(
    database: &Database,
    new: &NewRecording,
    road: Road<'_>,
    now: DateTime<Utc>,
) -> Result<Acceptance> {
    let mut transaction = database.begin().await?;
    if let Road::Landed(_) = road {
        transaction.statement(ADD_PLACEHOLDER).bind(new.patient.as_str()).bind(now).execute().await?;
    }
    if transaction.was_deleted(new).await? {
        return Ok(Acceptance::Deleted);
    }
    if !transaction.claim_event(new, road, now).await? {
        return Ok(Acceptance::Conflicting);
    }
    if !transaction.add_recording(new, road.failure(), now).await? {
        let digest: Vec<u8> = transaction.statement(DIGEST).bind(Uuid::from(new.id)).one().await?.get("digest")?;
        let same = digest == new.digest.0;
        return Ok(if same { Acceptance::Replayed } else { Acceptance::Conflicting });
    }
    if road.failure().is_none() {
        transaction.enqueue(JobKind::Convert, new.id, now).await?;
    }
    transaction.commit().await?;
    Ok(Acceptance::Accepted)
}

pub(super) async fn lease(
    database: &Database,
    kind: JobKind,
    limit: u32,
    owner: &str,
    until: DateTime<Utc>,
) -> Result<Vec<Job>> {
    let mut transaction = database.begin_redoable().await?;
    let lease = transaction.statement(LEASE).bind(owner).bind(until).bind(kind.name()).bind(limit);
    let leased = lease.all().await?.iter().map(|row| row.get("job_id")).collect::<Result<Vec<i64>>>()?;
    if leased.is_empty() {
        return Ok(Vec::new());
    }
    let rows = transaction.statement(LEASED).bind(&leased[..]).all().await?;
    let jobs = rows.iter().map(read_leased).collect::<Result<_>>()?;
    transaction.commit().await?;
    Ok(jobs)
}

pub(super) async fn finish_conversion(
    database: &Database,
    fence: Fence,
    id: TestEventId,
    conversion: &Conversion,
    rule: TrainingRule,
    now: DateTime<Utc>,
) -> Result<AfterConversion> {
    let mut transaction = database.begin_redoable().await?;
    transaction.finish(fence).await?;
    let row = transaction.statement(KIND_OF_RECORDING).bind(Uuid::from(id)).one().await?;
    let (patient, movement) = (read_patient_id(&row)?, read_movement(&row)?);
    transaction.insert_conversion(id, conversion).await?;

    let mut ordinal: Option<i64> = None;
    let after = if row.get("training")? {
        let count = transaction.statement(COUNT_TRAINING).bind(patient.as_str()).bind(movement.as_str());
        let count = count.one().await?;
        ordinal = Some(count.get("last_ordinal")?);
        let recordings = count.get("recordings")?;
        // The model that serves may live of the others as yet: with each of the patient's own it takes more from these.
        let lives_of_others = rule.from_others
            && recordings < rule.minimum
            && transaction.serves_provisionally(&patient, &movement).await?;
        if rule.is_due(recordings) || lives_of_others {
            transaction.enqueue(JobKind::Train, id, now).await?;
            AfterConversion::TrainingQueued
        } else {
            AfterConversion::Counted
        }
    } else if transaction.has_model(&patient, &movement).await? {
        transaction.enqueue(JobKind::Score, id, now).await?;
        AfterConversion::ScoreQueued
    } else if rule.from_others && transaction.others_can_teach(&patient, &movement, &row.get::<String>("lane")?).await?
    {
        transaction.enqueue(JobKind::Train, id, now).await?;
        AfterConversion::ProvisionalQueued
    } else {
        AfterConversion::AwaitsModel
    };
    let status = match after {
        AfterConversion::Counted | AfterConversion::TrainingQueued => RecordingStatus::Training,
        AfterConversion::ScoreQueued => RecordingStatus::Converted,
        AfterConversion::AwaitsModel | AfterConversion::ProvisionalQueued => RecordingStatus::AwaitingModel,
    };
    let update = transaction.statement(CONVERTED).bind(status.name()).bind(conversion.quality.effective_rate_hz);
    update.bind(ordinal).bind(now).bind(Uuid::from(id)).execute().await?;
    transaction.commit().await?;
    Ok(after)
}

pub(super) async fn finish_scoring(
    database: &Database,
    fence: Fence,
    id: TestEventId,
    score: &Score,
    now: DateTime<Utc>,
) -> Result<AfterScoring> {
    let id = Uuid::from(id);
    let mut transaction = database.begin_redoable().await?;
    transaction.finish(fence).await?;
    let version = score.model_version.as_str();
    if transaction.statement(IS_RETIRED).bind(version).one().await?.get("retired")? {
        return Ok(AfterScoring::ModelRetired);
    }
    transaction
        .statement(ADD_SCORE)
        .bind(id)
        .bind(score.value)
        .bind(score.lower)
        .bind(score.upper)
        .bind(version)
        .bind(score.backend)
        .bind(now)
        .bind(score.provisional)
        .bind(score.unlike_training)
        .bind(score.novelty)
        .execute()
        .await?;
    transaction.statement(SCORED).bind(now).bind(id).execute().await?;
    if !score.provisional {
        transaction.statement(SET_BALANCE_SCORE).bind(score.balance_score()).bind(id).execute().await?;
    }
    transaction.commit().await?;
    Ok(AfterScoring::Scored)
}

pub(super) async fn finish_training(
    database: &Database,
    fence: Fence,
    model: &NewModel,
    now: DateTime<Utc>,
) -> Result<Option<u64>> {
    let mut transaction = database.begin_redoable().await?;
    transaction.finish(fence).await?;
    let learned_of_own = model.last_ordinal > 0;
    if learned_of_own && transaction.generation(&model.patient, &model.movement).await? != model.generation {
        return Ok(None);
    }
    let sources = model.sources_as_json()?;
    let changed = transaction.statement(CHANGED_SOURCES).bind(&sources).bind(model.movement.as_str());
    if changed.one().await?.get::<i64>("changed")? > 0 {
        return Ok(None);
    }
    transaction
        .statement(ADD_MODEL)
        .bind(model.version.as_str())
        .bind(model.patient.as_str())
        .bind(model.movement.as_str())
        .bind(model.training_recordings)
        .bind(model.artifact_key.as_str())
        .bind(&model.artifact_digest.0)
        .bind(&model.feature_set)
        .bind(model.leave_one_out_error)
        .bind(&model.card)
        .bind(now)
        .bind(model.first_ordinal)
        .bind(model.last_ordinal)
        .bind(model.generation)
        .bind(model.verdict.name())
        .bind(model.score_range.map(|(lowest, _)| lowest))
        .bind(model.score_range.map(|(_, highest)| highest))
        .execute()
        .await?;
    transaction.statement(ADD_SOURCES).bind(model.version.as_str()).bind(&sources).execute().await?;
    let waited = transaction.follow_serving(&model.patient, &model.movement, now).await?;
    transaction.commit().await?;
    Ok(Some(waited))
}

impl Transaction {
    /// Whether the event is being deleted, or was since its raw object was about to be kept.
    async fn was_deleted(&mut self, new: &NewRecording) -> Result<bool> {
        let Some(row) = self.statement(DELETIONS).bind(Uuid::from(new.id)).optional().await? else { return Ok(false) };
        Ok(row.get("pending")? || row.get::<i64>("times")? != new.deletions)
    }

    /// How many training recordings of the patient and movement were deleted.
    async fn generation(&mut self, patient: &PatientId, movement: &Movement) -> Result<i64> {
        let read = self.statement(GENERATION).bind(patient.as_str()).bind(movement.as_str());
        read.optional().await?.map_or(Ok(0), |row| row.get("generation"))
    }

    /// Makes the event of a recording, or fills in what it lacks; whether the id is free or the patient's own.
    async fn claim_event(&mut self, new: &NewRecording, road: Road<'_>, now: DateTime<Utc>) -> Result<bool> {
        let reported = Reported::of(new, road)?;
        let claimed = self
            .statement(CLAIM_EVENT)
            .bind(Uuid::from(new.id))
            .bind(new.patient.as_str())
            .bind(new.movement.as_str())
            .bind(reported.doctor_score)
            .bind(reported.start)
            .bind(reported.end)
            .bind(now)
            .optional()
            .await?;
        Ok(claimed.is_some())
    }

    /// Makes the row of a recording; whether there was none.
    async fn add_recording(
        &mut self,
        new: &NewRecording,
        failure: Option<&Failure>,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let status = if failure.is_some() { RecordingStatus::Failed } else { RecordingStatus::Received };
        let added = self
            .statement(ADD_RECORDING)
            .bind(Uuid::from(new.id))
            .bind(new.patient.as_str())
            .bind(new.movement.as_str())
            .bind(&new.digest.0)
            .bind(new.raw_key.as_str())
            .bind(new.raw_bytes)
            .bind(new.day.year)
            .bind(new.day.month)
            .bind(new.day.day)
            .bind(new.clinic_score)
            .bind(new.samples)
            .bind(now)
            .bind(status.name())
            .bind(failure.map(|failure| failure.code.as_str()))
            .bind(failure.map(|failure| failure.message.as_str()))
            .execute()
            .await?;
        Ok(added == 1)
    }

    async fn insert_conversion(&mut self, id: TestEventId, conversion: &Conversion) -> Result<()> {
        let (id, quality) = (Uuid::from(id), &conversion.quality);
        self.statement(ADD_QUALITY)
            .bind(id)
            .bind(count(quality.samples))
            .bind(quality.duration_seconds)
            .bind(quality.effective_rate_hz)
            .bind(count(quality.gaps))
            .bind(quality.longest_gap_seconds)
            .bind(quality.jitter_seconds)
            .bind(count(quality.non_monotonic))
            .bind(&constant_axes(quality))
            .execute()
            .await?;
        let mut ranges = self.statement(ADD_RANGES).bind(id);
        for (axis, (lowest, highest)) in AXES.into_iter().zip(quality.ranges) {
            ranges = ranges.bind(axis).bind(lowest).bind(highest);
        }
        ranges.execute().await?;
        self.statement(ADD_FEATURES)
            .bind(id)
            .bind(conversion.feature_set)
            .bind(&write_vector(&conversion.features)[..])
            .execute()
            .await?;
        Ok(())
    }

    async fn has_model(&mut self, patient: &PatientId, movement: &Movement) -> Result<bool> {
        let has_model = self.statement(HAS_MODEL).bind(patient.as_str()).bind(movement.as_str());
        has_model.one().await?.get("has_model")
    }

    async fn serves_provisionally(&mut self, patient: &PatientId, movement: &Movement) -> Result<bool> {
        let ask = self.statement(SERVES_PROVISIONALLY).bind(patient.as_str()).bind(movement.as_str());
        ask.one().await?.get("provisional")
    }

    async fn others_can_teach(&mut self, patient: &PatientId, movement: &Movement, lane: &str) -> Result<bool> {
        let ask = self.statement(OTHERS_CAN_TEACH).bind(patient.as_str()).bind(movement.as_str()).bind(lane);
        ask.one().await?.get("can")
    }
}
