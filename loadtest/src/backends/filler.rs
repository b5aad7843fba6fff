//! Rows that are there already when a measurement begins: recordings of other patients, made in SQL.

use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;

/// Recordings that one made patient has.
const EACH: i64 = 100;

/// For PostgreSQL; `$1` is how many recordings, `$2` how many patients.
const POSTGRES: [&str; 8] = [
    "INSERT INTO patients (patient_id, created_at) SELECT 'filler-' || i, now() FROM generate_series(0, $2 - 1) i WHERE $1 > 0",
    "INSERT INTO patient_care_providers (care_provider_id, patient_id, linked_at)
     SELECT 'measure', 'filler-' || i, now() FROM generate_series(0, $2 - 1) i WHERE $1 > 0",
    "INSERT INTO test_events (test_event_id, patient_id, test_type, balance_score, start_time, end_time, created_at)
     SELECT ('00000000-0000-4000-9000-' || lpad(i::text, 12, '0'))::uuid, 'filler-' || (i % $2), 'sit-to-stand', i % 101,
            now() - i * interval '1 minute', now() - (i - 1) * interval '1 minute', now() FROM generate_series(1, $1) i",
    "INSERT INTO recordings (test_event_id, patient_id, movement, lane, digest, raw_key, raw_bytes, year, month, day, status,
                             samples, sampling_rate_hz, received_at, updated_at)
     SELECT test_event_id, patient_id, test_type, 'measure', decode(repeat(md5(test_event_id::text), 2), 'hex'),
            'recording_data/' || test_event_id, 1300000, 2026, 1, 31, 'scored', 6000, 100, created_at, created_at
     FROM test_events WHERE patient_id LIKE 'filler-%' AND $1 > 0 AND $2 > 0",
    "INSERT INTO axis_ranges (test_event_id, axis, lowest, highest)
     SELECT test_event_id, axis, -1, 1 FROM recordings
         CROSS JOIN unnest(ARRAY['ax', 'ay', 'az', 'gx', 'gy', 'gz', 'mx', 'my', 'mz']) AS axis
     WHERE patient_id LIKE 'filler-%' AND $1 > 0 AND $2 > 0",
    "INSERT INTO quality_reports (test_event_id, samples, duration_seconds, effective_rate_hz, gaps, longest_gap_s, jitter_s,
                                  non_monotonic, constant_axes)
     SELECT test_event_id, 6000, 60, 100, 0, 0.01, 0.001, 0, '' FROM recordings
     WHERE patient_id LIKE 'filler-%' AND $1 > 0 AND $2 > 0",
    "INSERT INTO features (test_event_id, feature_set, vector)
     SELECT test_event_id, 'filler', decode(repeat('00', 800), 'hex') FROM recordings
     WHERE patient_id LIKE 'filler-%' AND $1 > 0 AND $2 > 0",
    "INSERT INTO scores (test_event_id, value, lower, upper, model_version, backend, scored_at)
     SELECT test_event_id, 50, 40, 60, 'filler', 'local', received_at FROM recordings
     WHERE patient_id LIKE 'filler-%' AND $1 > 0 AND $2 > 0",
];

/// For SQLite; the same parameters.
const SQLITE: [&str; 8] = [
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $2)
     INSERT INTO patients (patient_id, created_at) SELECT 'filler-' || i, 0 FROM n WHERE $1 > 0",
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $2)
     INSERT INTO patient_care_providers (care_provider_id, patient_id, linked_at) SELECT 'measure', 'filler-' || i, 0 FROM n
     WHERE $1 > 0",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
     INSERT INTO test_events (test_event_id, patient_id, test_type, balance_score, start_time, end_time, created_at)
     SELECT printf('00000000-0000-4000-9000-%012d', i), 'filler-' || (i % $2), 'sit-to-stand', i % 101, i * 60000000,
            i * 60000000 + 60000000, 0 FROM n",
    "INSERT INTO recordings (test_event_id, patient_id, movement, lane, digest, raw_key, raw_bytes, year, month, day, status,
                             samples, sampling_rate_hz, received_at, updated_at)
     SELECT test_event_id, patient_id, test_type, 'measure', zeroblob(32), 'recording_data/' || test_event_id, 1300000, 2026, 1,
            31, 'scored', 6000, 100.0, 0, 0
     FROM test_events WHERE patient_id LIKE 'filler-%' AND $1 > 0 AND $2 > 0",
    "WITH axes(axis) AS (VALUES ('ax'), ('ay'), ('az'), ('gx'), ('gy'), ('gz'), ('mx'), ('my'), ('mz'))
     INSERT INTO axis_ranges (test_event_id, axis, lowest, highest) SELECT test_event_id, axis, -1.0, 1.0 FROM recordings
         CROSS JOIN axes WHERE patient_id LIKE 'filler-%' AND $1 > 0 AND $2 > 0",
    "INSERT INTO quality_reports (test_event_id, samples, duration_seconds, effective_rate_hz, gaps, longest_gap_s, jitter_s,
                                  non_monotonic, constant_axes)
     SELECT test_event_id, 6000, 60.0, 100.0, 0, 0.01, 0.001, 0, '' FROM recordings
     WHERE patient_id LIKE 'filler-%' AND $1 > 0 AND $2 > 0",
    "INSERT INTO features (test_event_id, feature_set, vector) SELECT test_event_id, 'filler', zeroblob(800) FROM recordings
     WHERE patient_id LIKE 'filler-%' AND $1 > 0 AND $2 > 0",
    "INSERT INTO scores (test_event_id, value, lower, upper, model_version, backend, scored_at)
     SELECT test_event_id, 50.0, 40.0, 60.0, 'filler', 'local', 0 FROM recordings
     WHERE patient_id LIKE 'filler-%' AND $1 > 0 AND $2 > 0",
];

/// Fills a PostgreSQL database that has this program's schema and the care provider `measure`.
pub(super) async fn postgres(pool: &PgPool, recordings: i64) -> anyhow::Result<()> {
    for statement in POSTGRES {
        sqlx::query(statement).bind(recordings).bind((recordings / EACH).max(1)).execute(pool).await?;
    }
    sqlx::query("VACUUM ANALYZE").execute(pool).await?;
    sqlx::query("CHECKPOINT").execute(pool).await?;
    Ok(())
}

/// Fills a SQLite database likewise.
pub(super) async fn sqlite(pool: &SqlitePool, recordings: i64) -> anyhow::Result<()> {
    if recordings == 0 {
        return Ok(());
    }
    for statement in SQLITE {
        sqlx::query(statement).bind(recordings).bind((recordings / EACH).max(1)).execute(pool).await?;
    }
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(pool).await?;
    Ok(())
}
