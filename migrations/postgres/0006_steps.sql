-- The steps of a recording, each a function: one statement, and one round trip, where SQLite takes several.
--
-- Each statement in such a function sees what is committed when it begins (READ COMMITTED, and the functions are
-- volatile): what follows a lock sees what those did who held it before.

-- Adds a job at the position that is fair; one that is there already stays as it is.
CREATE FUNCTION enqueue_job(_kind text, _subject uuid, _lane text, _now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO jobs (kind, subject, lane, state, due_at, enqueued_at, position)
    VALUES (_kind, _subject, _lane, 'ready', _now, _now, greatest(
        coalesce((SELECT max(position) + 1 FROM jobs
                  WHERE kind = _kind AND lane = _lane AND state IN ('ready', 'leased')), 0),
        coalesce((SELECT min(position) FROM jobs WHERE kind = _kind AND state IN ('ready', 'leased')), 0)))
    ON CONFLICT (kind, subject) DO NOTHING;
END
$$;

-- 'accepted', 'replayed' or 'conflicting'; in the last two cases nothing was written.
CREATE FUNCTION accept_recording(
    _id uuid, _patient text, _movement text, _doctor_score bigint, _begun timestamptz, _ended timestamptz,
    _digest bytea, _raw_key text, _raw_bytes bigint, _year bigint, _month bigint, _day bigint,
    _clinic_score double precision, _samples bigint, _landed boolean, _failure_code text, _failure_message text,
    _now timestamptz
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    _outcome text := 'conflicting';
    _lane text;
BEGIN
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
CREATE FUNCTION finish_conversion(
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

    -- Locks the count until the end: whoever ends a conversion or a training of the two waits here for the others.
    INSERT INTO training_counts (patient_id, movement, recordings)
    VALUES (_recording.patient_id, _recording.movement, CASE WHEN _recording.training THEN 1 ELSE 0 END)
    ON CONFLICT (patient_id, movement) DO UPDATE SET recordings = training_counts.recordings + excluded.recordings
    RETURNING recordings INTO _trainings;
    SELECT EXISTS (SELECT FROM models WHERE patient_id = _recording.patient_id AND movement = _recording.movement)
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
        training_ordinal = CASE WHEN _recording.training THEN _trainings END,
        updated_at = _now
    WHERE test_event_id = _id;
    RETURN _after;
END
$$;

-- How many recordings waited for the model; null when the lease is over: then nothing was written.
CREATE FUNCTION finish_training(
    _job bigint, _fence bigint, _version text, _patient text, _movement text, _training_recordings bigint,
    _artifact_key text, _artifact_digest bytea, _feature_set text, _error double precision, _card text, _now timestamptz
) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    _waited bigint;
BEGIN
    DELETE FROM jobs WHERE job_id = _job AND fence = _fence AND state = 'leased';
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- Locks the count: conversions that saw no model are committed, or will see it.
    INSERT INTO training_counts (patient_id, movement, recordings) VALUES (_patient, _movement, 0)
    ON CONFLICT (patient_id, movement) DO UPDATE SET recordings = training_counts.recordings;
    INSERT INTO models (model_version, patient_id, movement, training_recordings, artifact_key, artifact_digest,
                        feature_set, leave_one_out_error, card, created_at)
    VALUES (_version, _patient, _movement, _training_recordings, _artifact_key, _artifact_digest, _feature_set, _error,
            _card, _now);
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
