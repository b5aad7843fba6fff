//! The steps on PostgreSQL: a statement each. What must take a lock before it looks is a function of the schema.

use super::super::jobs::{Fence, Job, JobKind};
use super::super::models::{NewModel, serving};
use super::super::recordings::write_vector;
use super::super::statement::statements;
use super::super::{Database, DatabaseError, Result};
use super::constant_axes;
use super::{
    Acceptance, AfterConversion, AfterScoring, Conversion, NewRecording, Reported, Road, TrainingRule, count,
    read_leased,
};
use crate::domain::ids::TestEventId;
use crate::domain::score::Score;
use chrono::{DateTime, Utc};
use uuid::Uuid;

statements! {
    CALL_ACCEPT = only_postgres(
        "SELECT accept_recording($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
             AS outcome",
    );
    /// A job is visible only together with the rows that it is about. An array for few: PostgreSQL takes a subquery for a
    /// tenth of the table.
    LEASE_WITH_ROWS = only_postgres(concat!(
        "WITH leased AS (
             UPDATE jobs SET state = 'leased', owner = $1, due_at = $2, fence = fence + 1, attempts = attempts + 1
             WHERE job_id = ANY (ARRAY(
                 SELECT job_id FROM jobs WHERE kind = $3 AND state = 'ready' ORDER BY position, job_id LIMIT $4
                 FOR UPDATE SKIP LOCKED))
             RETURNING job_id, fence, kind, subject, lane, attempts, enqueued_at, position)
         SELECT job_id, fence, kind, subject, leased.lane, attempts, enqueued_at,
                recordings.test_event_id, recordings.patient_id, recordings.movement, year, month, day, raw_key, digest,
                training_ordinal, features.feature_set, vector, model_version, artifact_key, artifact_digest,
                is_provisional, lowest_score, highest_score
         FROM leased LEFT JOIN recordings ON recordings.test_event_id = subject
             LEFT JOIN features ON features.test_event_id = subject
             LEFT JOIN models ON kind = 'score' AND model_version = ",
        serving!("recordings.patient_id", "recordings.movement"),
        "
         ORDER BY position, job_id"
    ));
    CALL_FINISH_CONVERSION = only_postgres(
        "SELECT finish_conversion($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
             '{ax,ay,az,gx,gy,gz,mx,my,mz}',
             ARRAY[$12, $14, $16, $18, $20, $22, $24, $26, $28], ARRAY[$13, $15, $17, $19, $21, $23, $25, $27, $29],
             $30, $31, $32, $33, $34, $35) AS after",
    );
    /// A deletion locks the models that it retires before the jobs of other recordings, and so does this.
    FINISH_SCORING = only_postgres(
        "WITH model AS (
             SELECT retired_at IS NOT NULL OR (verdict = 'withdrawn' AND NOT pinned) AS over
             FROM models WHERE model_version = $7 FOR SHARE),
         finished AS (
             DELETE FROM jobs
             WHERE job_id = $1 AND fence = $2 AND state = 'leased'
                   AND NOT EXISTS (SELECT FROM model WHERE over)
             RETURNING job_id),
         score AS (
             INSERT INTO scores (test_event_id, value, lower, upper, model_version, backend, scored_at, provisional,
                                 unlike_training, novelty)
             SELECT $3, $4, $5, $6, $7, $8, $9, $11, $12, $13 FROM finished),
         event AS (
             UPDATE test_events SET balance_score = $10 FROM finished WHERE test_event_id = $3 AND NOT $11),
         recording AS (
             UPDATE recordings SET status = 'scored', updated_at = $9 FROM finished WHERE test_event_id = $3)
         SELECT EXISTS (SELECT FROM finished) AS finished,
                EXISTS (SELECT FROM model, jobs
                        WHERE over AND job_id = $1 AND fence = $2 AND state = 'leased') AS retired",
    );
    CALL_FINISH_TRAINING = only_postgres(
        "SELECT finish_training($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
             $18, $19) AS waited",
    );
}

pub(super) async fn accept(
    database: &Database,
    new: &NewRecording,
    road: Road<'_>,
    now: DateTime<Utc>,
) -> Result<Acceptance> {
    let (failure, reported) = (road.failure(), Reported::of(new, road)?);
    let row = database
        .write(CALL_ACCEPT)
        .bind(Uuid::from(new.id))
        .bind(new.patient.as_str())
        .bind(new.movement.as_str())
        .bind(reported.doctor_score)
        .bind(reported.start)
        .bind(reported.end)
        .bind(&new.digest.0)
        .bind(new.raw_key.as_str())
        .bind(new.raw_bytes)
        .bind(new.day.year)
        .bind(new.day.month)
        .bind(new.day.day)
        .bind(new.clinic_score)
        .bind(new.samples)
        .bind(matches!(road, Road::Landed(_)))
        .bind(failure.map(|failure| failure.code.as_str()))
        .bind(failure.map(|failure| failure.message.as_str()))
        .bind(now)
        .bind(new.deletions)
        .one()
        .await?;
    match row.get::<String>("outcome")?.as_str() {
        "accepted" => Ok(Acceptance::Accepted),
        "replayed" => Ok(Acceptance::Replayed),
        "conflicting" => Ok(Acceptance::Conflicting),
        "deleted" => Ok(Acceptance::Deleted),
        _ => Err(DatabaseError::Corrupt("acceptance")),
    }
}

pub(super) async fn lease(
    database: &Database,
    kind: JobKind,
    limit: u32,
    owner: &str,
    until: DateTime<Utc>,
) -> Result<Vec<Job>> {
    let lease = database.write_redoable(LEASE_WITH_ROWS).bind(owner).bind(until).bind(kind.name()).bind(limit);
    lease.all().await?.iter().map(read_leased).collect()
}

pub(super) async fn finish_conversion(
    database: &Database,
    fence: Fence,
    id: TestEventId,
    conversion: &Conversion,
    rule: TrainingRule,
    now: DateTime<Utc>,
) -> Result<AfterConversion> {
    let quality = &conversion.quality;
    let mut call = database
        .write_redoable(CALL_FINISH_CONVERSION)
        .bind(fence.job_id)
        .bind(fence.token)
        .bind(Uuid::from(id))
        .bind(count(quality.samples))
        .bind(quality.duration_seconds)
        .bind(quality.effective_rate_hz)
        .bind(count(quality.gaps))
        .bind(quality.longest_gap_seconds)
        .bind(quality.jitter_seconds)
        .bind(count(quality.non_monotonic))
        .bind(&constant_axes(quality));
    for (lowest, highest) in quality.ranges {
        call = call.bind(lowest).bind(highest);
    }
    let call = call.bind(conversion.feature_set).bind(&write_vector(&conversion.features)[..]);
    let row = call.bind(rule.minimum).bind(rule.every).bind(now).bind(rule.from_others).one().await?;
    match row.get::<Option<String>>("after")?.as_deref() {
        None => Err(DatabaseError::Fenced),
        Some("counted") => Ok(AfterConversion::Counted),
        Some("training_queued") => Ok(AfterConversion::TrainingQueued),
        Some("score_queued") => Ok(AfterConversion::ScoreQueued),
        Some("awaits_model") => Ok(AfterConversion::AwaitsModel),
        Some("provisional_queued") => Ok(AfterConversion::ProvisionalQueued),
        Some(_) => Err(DatabaseError::Corrupt("what follows a conversion")),
    }
}

pub(super) async fn finish_scoring(
    database: &Database,
    fence: Fence,
    id: TestEventId,
    score: &Score,
    now: DateTime<Utc>,
) -> Result<AfterScoring> {
    let ended = database
        .write_redoable(FINISH_SCORING)
        .bind(fence.job_id)
        .bind(fence.token)
        .bind(Uuid::from(id))
        .bind(score.value)
        .bind(score.lower)
        .bind(score.upper)
        .bind(score.model_version.as_str())
        .bind(score.backend)
        .bind(now)
        .bind(score.balance_score())
        .bind(score.provisional)
        .bind(score.unlike_training)
        .bind(score.novelty)
        .one()
        .await?;
    match (ended.get("finished")?, ended.get("retired")?) {
        (true, _) => Ok(AfterScoring::Scored),
        (false, true) => Ok(AfterScoring::ModelRetired),
        (false, false) => Err(DatabaseError::Fenced),
    }
}

pub(super) async fn finish_training(
    database: &Database,
    fence: Fence,
    model: &NewModel,
    now: DateTime<Utc>,
) -> Result<Option<u64>> {
    let row = database
        .write_redoable(CALL_FINISH_TRAINING)
        .bind(fence.job_id)
        .bind(fence.token)
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
        .bind(&model.sources_as_json()?)
        .one()
        .await?;
    // Less than none where a training recording was deleted in between.
    Ok(u64::try_from(row.get::<Option<i64>>("waited")?.ok_or(DatabaseError::Fenced)?).ok())
}
