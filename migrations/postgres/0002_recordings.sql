-- Test events, their recordings and what was made of them.

CREATE TABLE test_types (
    test_type           text COLLATE "C" PRIMARY KEY,
    instructions        text,
    duration_in_seconds bigint
);
INSERT INTO test_types VALUES ('sit-to-stand', NULL, 60);

CREATE TABLE test_events (
    test_event_id uuid PRIMARY KEY,
    patient_id    text COLLATE "C" NOT NULL REFERENCES patients,
    test_type     text COLLATE "C" NOT NULL,
    balance_score bigint CHECK (balance_score BETWEEN 0 AND 100),
    doctor_score  bigint CHECK (doctor_score BETWEEN 0 AND 100),
    notes         text,
    start_time    timestamptz,
    end_time      timestamptz,
    created_at    timestamptz NOT NULL
);
CREATE INDEX test_events_by_patient ON test_events (patient_id, start_time NULLS FIRST, test_event_id);

CREATE TABLE recordings (
    test_event_id    uuid PRIMARY KEY REFERENCES test_events,
    patient_id       text COLLATE "C" NOT NULL REFERENCES patients,
    movement         text COLLATE "C" NOT NULL,
    lane             text COLLATE "C" NOT NULL, -- whose queue its work stands in: the care provider it came from
    digest           bytea NOT NULL,            -- BLAKE3 of the decoded body
    raw_key          text NOT NULL,
    raw_bytes        bigint NOT NULL,
    year             bigint NOT NULL,
    month            bigint NOT NULL,
    day              bigint NOT NULL,
    clinic_score     double precision, -- null: not a training recording
    training_ordinal bigint,           -- its place among the patient's training recordings of this movement, from 1
    status           text NOT NULL CHECK (status IN ('received', 'converted', 'training', 'awaiting_model', 'scored', 'failed')),
    samples          bigint NOT NULL,
    sampling_rate_hz double precision,
    failure_code     text,
    failure_message  text,
    received_at      timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL
);
CREATE INDEX recordings_awaiting_model ON recordings (patient_id, movement, received_at) WHERE status = 'awaiting_model';
CREATE UNIQUE INDEX recordings_by_training_ordinal ON recordings (patient_id, movement, training_ordinal)
    WHERE training_ordinal IS NOT NULL;

CREATE TABLE axis_ranges (
    test_event_id uuid NOT NULL REFERENCES recordings,
    axis          text COLLATE "C" NOT NULL,
    lowest        double precision NOT NULL,
    highest       double precision NOT NULL,
    PRIMARY KEY (test_event_id, axis)
);

CREATE TABLE quality_reports (
    test_event_id     uuid PRIMARY KEY REFERENCES recordings,
    samples           bigint NOT NULL,
    duration_seconds  double precision NOT NULL,
    effective_rate_hz double precision,          -- null: no time passes in it
    gaps              bigint NOT NULL,           -- intervals over three times the median
    longest_gap_s     double precision NOT NULL,
    jitter_s          double precision NOT NULL, -- standard deviation of the intervals
    non_monotonic     bigint NOT NULL,           -- timestamps not later than the one before
    constant_axes     text NOT NULL              -- comma-separated
);

CREATE TABLE features (
    test_event_id uuid PRIMARY KEY REFERENCES recordings,
    feature_set   text NOT NULL,
    vector        bytea NOT NULL -- little-endian doubles
);

CREATE TABLE scores (
    test_event_id uuid PRIMARY KEY REFERENCES recordings,
    value         double precision NOT NULL CHECK (value BETWEEN 0 AND 100),
    lower         double precision,
    upper         double precision,
    model_version text NOT NULL,
    backend       text NOT NULL,
    scored_at     timestamptz NOT NULL
);

-- How many training recordings a patient has for a movement: counted in the transaction that converts one.
CREATE TABLE training_counts (
    patient_id text COLLATE "C" NOT NULL REFERENCES patients,
    movement   text COLLATE "C" NOT NULL,
    recordings bigint NOT NULL,
    PRIMARY KEY (patient_id, movement)
);

CREATE TABLE models (
    model_version       text COLLATE "C" PRIMARY KEY,
    patient_id          text COLLATE "C" NOT NULL REFERENCES patients,
    movement            text COLLATE "C" NOT NULL,
    training_recordings bigint NOT NULL, -- the count that started the training
    artifact_key        text NOT NULL,
    artifact_digest     bytea NOT NULL,  -- BLAKE3
    feature_set         text NOT NULL,
    leave_one_out_error double precision NOT NULL,
    card                text NOT NULL,   -- JSON
    created_at          timestamptz NOT NULL,
    UNIQUE (patient_id, movement, training_recordings)
);
