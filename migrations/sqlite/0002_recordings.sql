-- Test events, their recordings and what was made of them. Times are microseconds since 1970-01-01 UTC.

CREATE TABLE test_types (
    test_type           TEXT PRIMARY KEY,
    instructions        TEXT,
    duration_in_seconds INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO test_types VALUES ('sit-to-stand', NULL, 60);

CREATE TABLE test_events (
    test_event_id TEXT PRIMARY KEY,
    patient_id    TEXT NOT NULL REFERENCES patients,
    test_type     TEXT NOT NULL,
    balance_score INTEGER CHECK (balance_score BETWEEN 0 AND 100),
    doctor_score  INTEGER CHECK (doctor_score BETWEEN 0 AND 100),
    notes         TEXT,
    start_time    INTEGER,
    end_time      INTEGER,
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX test_events_by_patient ON test_events (patient_id, start_time);
CREATE INDEX test_events_by_patient_and_type ON test_events (patient_id, test_type, start_time);

CREATE TABLE recordings (
    test_event_id    TEXT PRIMARY KEY REFERENCES test_events,
    patient_id       TEXT NOT NULL REFERENCES patients,
    movement         TEXT NOT NULL,
    lane             TEXT NOT NULL, -- whose queue its work stands in: the care provider it came from
    digest           BLOB NOT NULL, -- BLAKE3 of the decoded body
    raw_key          TEXT NOT NULL,
    raw_bytes        INTEGER NOT NULL,
    year             INTEGER NOT NULL,
    month            INTEGER NOT NULL,
    day              INTEGER NOT NULL,
    clinic_score     REAL,          -- null: not a training recording
    training_ordinal INTEGER,       -- its place among the patient's training recordings of this movement, from 1
    status           TEXT NOT NULL CHECK (status IN ('received', 'converted', 'training', 'awaiting_model', 'scored', 'failed')),
    samples          INTEGER NOT NULL,
    sampling_rate_hz REAL,
    failure_code     TEXT,
    failure_message  TEXT,
    received_at      INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX recordings_awaiting_model ON recordings (patient_id, movement, received_at) WHERE status = 'awaiting_model';
CREATE UNIQUE INDEX recordings_by_training_ordinal ON recordings (patient_id, movement, training_ordinal)
    WHERE training_ordinal IS NOT NULL;

CREATE TABLE axis_ranges (
    test_event_id TEXT NOT NULL REFERENCES recordings,
    axis          TEXT NOT NULL,
    lowest        REAL NOT NULL,
    highest       REAL NOT NULL,
    PRIMARY KEY (test_event_id, axis)
) STRICT, WITHOUT ROWID;

CREATE TABLE quality_reports (
    test_event_id     TEXT PRIMARY KEY REFERENCES recordings,
    samples           INTEGER NOT NULL,
    duration_seconds  REAL NOT NULL,
    effective_rate_hz REAL,             -- null: no time passes in it
    gaps              INTEGER NOT NULL, -- intervals over three times the median
    longest_gap_s     REAL NOT NULL,
    jitter_s          REAL NOT NULL,    -- standard deviation of the intervals
    non_monotonic     INTEGER NOT NULL, -- timestamps not later than the one before
    constant_axes     TEXT NOT NULL     -- comma-separated
) STRICT, WITHOUT ROWID;

CREATE TABLE features (
    test_event_id TEXT PRIMARY KEY REFERENCES recordings,
    feature_set   TEXT NOT NULL,
    vector        BLOB NOT NULL -- little-endian doubles
) STRICT, WITHOUT ROWID;

CREATE TABLE scores (
    test_event_id TEXT PRIMARY KEY REFERENCES recordings,
    value         REAL NOT NULL CHECK (value BETWEEN 0 AND 100),
    lower         REAL,
    upper         REAL,
    model_version TEXT NOT NULL,
    backend       TEXT NOT NULL,
    scored_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How many training recordings a patient has for a movement: counted in the transaction that converts one.
CREATE TABLE training_counts (
    patient_id TEXT NOT NULL REFERENCES patients,
    movement   TEXT NOT NULL,
    recordings INTEGER NOT NULL,
    PRIMARY KEY (patient_id, movement)
) STRICT, WITHOUT ROWID;

CREATE TABLE models (
    model_version       TEXT PRIMARY KEY,
    patient_id          TEXT NOT NULL REFERENCES patients,
    movement            TEXT NOT NULL,
    training_recordings INTEGER NOT NULL, -- the count that started the training
    artifact_key        TEXT NOT NULL,
    artifact_digest     BLOB NOT NULL,    -- BLAKE3
    feature_set         TEXT NOT NULL,
    leave_one_out_error REAL NOT NULL,
    card                TEXT NOT NULL,    -- JSON
    created_at          INTEGER NOT NULL,
    UNIQUE (patient_id, movement, training_recordings)
) STRICT, WITHOUT ROWID;
