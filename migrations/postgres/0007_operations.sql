-- Tests that a patient is to do.
CREATE TABLE assigned_tests (
    patient_id  text COLLATE "C" NOT NULL REFERENCES patients,
    test_type   text COLLATE "C" NOT NULL REFERENCES test_types,
    assigned_at timestamptz NOT NULL,
    PRIMARY KEY (patient_id, test_type)
);

CREATE INDEX recordings_by_patient ON recordings (patient_id, year, month, day);

-- Test events that were deleted. The row stays: an upload that began before a deletion does not count after it.
CREATE TABLE deletions (
    test_event_id uuid PRIMARY KEY,
    times         bigint NOT NULL,      -- how often it was deleted
    patient_id    text COLLATE "C",     -- whose it was, as long as it is pending
    pending       boolean NOT NULL,     -- true: objects may be there still
    swept         boolean NOT NULL,     -- true: all of them were removed once
    sweep_at      timestamptz NOT NULL, -- until then work that was under way may make some of them again
    requested_at  timestamptz NOT NULL
);

-- The objects of a pending deletion.
CREATE TABLE deletion_objects (
    test_event_id uuid NOT NULL REFERENCES deletions,
    object_key    text COLLATE "C" NOT NULL,
    PRIMARY KEY (test_event_id, object_key)
);

-- The ordinal of the last training recording, which no other gets when it is deleted, and how often one was deleted.
ALTER TABLE training_counts ADD COLUMN last_ordinal bigint NOT NULL DEFAULT 0;
ALTER TABLE training_counts ADD COLUMN generation bigint NOT NULL DEFAULT 0;
UPDATE training_counts SET last_ordinal = recordings;

-- A model is of the training recordings from one ordinal to another as they were in a generation. One that learned from a
-- recording that was deleted is retired: it serves no more.
ALTER TABLE models ADD COLUMN first_ordinal bigint;
ALTER TABLE models ADD COLUMN last_ordinal bigint;
ALTER TABLE models ADD COLUMN generation bigint NOT NULL DEFAULT 0;
ALTER TABLE models ADD COLUMN retired_at timestamptz;
UPDATE models SET first_ordinal = greatest(training_recordings - 199, 1), last_ordinal = training_recordings;
ALTER TABLE models ALTER COLUMN first_ordinal SET NOT NULL;
ALTER TABLE models ALTER COLUMN last_ordinal SET NOT NULL;
ALTER TABLE models DROP CONSTRAINT models_patient_id_movement_training_recordings_key;
ALTER TABLE models ADD CONSTRAINT models_by_ordinal UNIQUE (patient_id, movement, last_ordinal, generation);

ALTER TABLE jobs DROP CONSTRAINT jobs_kind_check;
ALTER TABLE jobs ADD CONSTRAINT jobs_kind_check CHECK (kind IN ('convert', 'train', 'score', 'delete'));

-- Until the end of the transaction nobody else accepts or deletes the test event, whether it is there or not.
CREATE FUNCTION lock_test_event(_id uuid) RETURNS void
LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtextextended(_id::text, 0))
$$;

-- 'accepted', 'replayed', 'conflicting' or 'deleted'; but for the first nothing was written. `_deletions` is how often the
-- event had been deleted when the raw object was about to be kept: null where that is not known.
DROP FUNCTION accept_recording(uuid, text, text, bigint, timestamptz, timestamptz, bytea, text, bigint, bigint, bigint, bigint,
                               double precision, bigint, boolean, text, text, timestamptz);
CREATE FUNCTION accept_recording(
    _id uuid, _patient text, _movement text, _doctor_score bigint, _begun timestamptz, _ended timestamptz,
    _digest bytea, _raw_key text, _raw_bytes bigint, _year bigint, _month bigint, _day bigint,
    _clinic_score double precision, _samples bigint, _landed boolean, _failure_code text, _failure_message text,
    _now timestamptz, _deletions bigint DEFAULT NULL
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    _outcome text := 'conflicting';
    _lane text;
BEGIN
    PERFORM lock_test_event(_id);
    PERFORM FROM deletions WHERE test_event_id = _id AND (pending OR times <> _deletions);
    IF FOUND THEN
        RETURN 'deleted';
    END IF;
    IF _landed THEN
        INSERT INTO patients (patient_id, placeholder, created_at) VALUES (_patient, true, _now)
        ON CONFLICT (patient_id) DO NOTHING;
    END IF;
    -- The event's row is locked from here on.
    INSERT INTO test_events (test_event_id, patient_id, test_type, doctor_score, start_time, end_time, created_at)
    VALUES (_id, _patient, _movement, _doctor_score, _begun, _ended, _now)
    ON CONFLICT (test_event_id) DO UPDATE SET
        doctor_score = coalesce(test_events.doctor_score, excluded.doctor_score),
        start_time = coalesce(test_events.start_time, excluded.start_time),
        end_time = coalesce(test_events.end_time, excluded.end_time)
    WHERE test_events.patient_id = excluded.patient_id;
    IF FOUND THEN
        INSERT INTO recordings (test_event_id, patient_id, movement, lane, digest, raw_key, raw_bytes, year, month, day,
                                clinic_score, samples, received_at, updated_at, status, failure_code, failure_message)
        VALUES (_id, _patient, _movement,
                coalesce((SELECT care_provider_id FROM patient_care_providers WHERE patient_id = _patient
                          ORDER BY linked_at, care_provider_id LIMIT 1), _patient),
                _digest, _raw_key, _raw_bytes, _year, _month, _day, _clinic_score, _samples, _now, _now,
                CASE WHEN _failure_code IS NULL THEN 'received' ELSE 'failed' END, _failure_code, _failure_message)
        ON CONFLICT (test_event_id) DO NOTHING
        RETURNING lane INTO _lane;
        IF FOUND THEN
            IF _failure_code IS NULL THEN
                PERFORM enqueue_job('convert', _id, _lane, _now);
            END IF;
            RETURN 'accepted';
        END IF;
        SELECT CASE WHEN digest = _digest THEN 'replayed' ELSE 'conflicting' END INTO STRICT _outcome
        FROM recordings WHERE test_event_id = _id;
    END IF;
    -- Takes back what was written, down to the block's beginning.
    RAISE EXCEPTION 'not accepted' USING ERRCODE = 'ST001';
EXCEPTION WHEN SQLSTATE 'ST001' THEN
    RETURN _outcome;
END
$$;

-- 'training_queued', 'counted', 'score_queued' or 'awaits_model'; null when the lease is over: then nothing was written.
CREATE OR REPLACE FUNCTION finish_conversion(
    _job bigint, _fence bigint, _id uuid,
    _samples bigint, _duration double precision, _rate double precision, _gaps bigint, _longest_gap double precision,
    _jitter double precision, _non_monotonic bigint, _constant_axes text,
    _axes text[], _lowest double precision[], _highest double precision[],
    _feature_set text, _vector bytea, _minimum bigint, _every bigint, _now timestamptz
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    _recording record;
    _trainings bigint;
    _ordinal bigint;
    _has_model boolean;
    _after text;
BEGIN
    DELETE FROM jobs WHERE job_id = _job AND fence = _fence AND state = 'leased';
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT patient_id, movement, lane, clinic_score IS NOT NULL AS training INTO STRICT _recording
    FROM recordings WHERE test_event_id = _id;
    INSERT INTO quality_reports (test_event_id, samples, duration_seconds, effective_rate_hz, gaps, longest_gap_s,
                                 jitter_s, non_monotonic, constant_axes)
    VALUES (_id, _samples, _duration, _rate, _gaps, _longest_gap, _jitter, _non_monotonic, _constant_axes);
    INSERT INTO axis_ranges (test_event_id, axis, lowest, highest)
    SELECT _id, range.axis, range.lowest, range.highest
    FROM unnest(_axes, _lowest, _highest) AS range (axis, lowest, highest);
    INSERT INTO features (test_event_id, feature_set, vector) VALUES (_id, _feature_set, _vector);

    -- Locks the count until the end: whoever ends a conversion or a training of the two, or deletes, waits here for the others.
    INSERT INTO training_counts (patient_id, movement, recordings, last_ordinal)
    VALUES (_recording.patient_id, _recording.movement,
            CASE WHEN _recording.training THEN 1 ELSE 0 END, CASE WHEN _recording.training THEN 1 ELSE 0 END)
    ON CONFLICT (patient_id, movement) DO UPDATE SET
        recordings = training_counts.recordings + excluded.recordings,
        last_ordinal = training_counts.last_ordinal + excluded.last_ordinal
    RETURNING recordings, last_ordinal INTO _trainings, _ordinal;
    SELECT EXISTS (SELECT FROM models WHERE patient_id = _recording.patient_id AND movement = _recording.movement
                                            AND retired_at IS NULL)
    INTO _has_model;
    _after := CASE
        WHEN _recording.training AND _trainings >= _minimum AND (_trainings - _minimum) % greatest(_every, 1) = 0
            THEN 'training_queued'
        WHEN _recording.training THEN 'counted'
        WHEN _has_model THEN 'score_queued'
        ELSE 'awaits_model'
    END;
    IF _after = 'training_queued' THEN
        PERFORM enqueue_job('train', _id, _recording.lane, _now);
    ELSIF _after = 'score_queued' THEN
        PERFORM enqueue_job('score', _id, _recording.lane, _now);
    END IF;
    UPDATE recordings SET
        status = CASE _after
            WHEN 'score_queued' THEN 'converted' WHEN 'awaits_model' THEN 'awaiting_model' ELSE 'training' END,
        sampling_rate_hz = _rate,
        training_ordinal = CASE WHEN _recording.training THEN _ordinal END,
        updated_at = _now
    WHERE test_event_id = _id;
    RETURN _after;
END
$$;

-- How many recordings waited for the model; null when the lease is over, and -1 when a training recording was deleted since
-- the model learned: in both cases nothing was written. Who does not say of which ordinals the model is, is of a version
-- that knows of no deletions.
DROP FUNCTION finish_training(bigint, bigint, text, text, text, bigint, text, bytea, text, double precision, text, timestamptz);
CREATE FUNCTION finish_training(
    _job bigint, _fence bigint, _version text, _patient text, _movement text, _training_recordings bigint,
    _artifact_key text, _artifact_digest bytea, _feature_set text, _error double precision, _card text, _now timestamptz,
    _first_ordinal bigint DEFAULT 1, _last_ordinal bigint DEFAULT NULL, _generation bigint DEFAULT 0
) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    _waited bigint;
    _current bigint;
BEGIN
    PERFORM FROM jobs WHERE job_id = _job AND fence = _fence AND state = 'leased' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- Locks the count: conversions that saw no model are committed, or will see it.
    INSERT INTO training_counts (patient_id, movement, recordings) VALUES (_patient, _movement, 0)
    ON CONFLICT (patient_id, movement) DO UPDATE SET recordings = training_counts.recordings
    RETURNING generation INTO _current;
    IF _current <> _generation THEN
        RETURN -1;
    END IF;
    DELETE FROM jobs WHERE job_id = _job;
    INSERT INTO models (model_version, patient_id, movement, training_recordings, artifact_key, artifact_digest,
                        feature_set, leave_one_out_error, card, created_at, first_ordinal, last_ordinal, generation)
    VALUES (_version, _patient, _movement, _training_recordings, _artifact_key, _artifact_digest, _feature_set, _error,
            _card, _now, _first_ordinal, coalesce(_last_ordinal, _training_recordings), _generation);
    INSERT INTO jobs (kind, subject, lane, state, due_at, enqueued_at, position)
    SELECT 'score', test_event_id, lane, 'ready', _now, _now, greatest(
        coalesce((SELECT max(position) + 1 FROM jobs
                  WHERE kind = 'score' AND jobs.lane = recordings.lane AND state IN ('ready', 'leased')), 0),
        coalesce((SELECT min(position) FROM jobs WHERE kind = 'score' AND state IN ('ready', 'leased')), 0))
        + row_number() OVER (PARTITION BY lane ORDER BY received_at, test_event_id) - 1
    FROM recordings WHERE patient_id = _patient AND movement = _movement AND status = 'awaiting_model'
    ON CONFLICT (kind, subject) DO NOTHING;
    UPDATE recordings SET status = 'converted', updated_at = _now
    WHERE patient_id = _patient AND movement = _movement AND status = 'awaiting_model';
    GET DIAGNOSTICS _waited = ROW_COUNT;
    RETURN _waited;
END
$$;
