-- What is known of how far a score can be trusted.
ALTER TABLE scores ADD COLUMN provisional boolean NOT NULL DEFAULT false;     -- by a model without a scored recording of the patient's own
ALTER TABLE scores ADD COLUMN unlike_training boolean NOT NULL DEFAULT false; -- the recording is unlike those that the model knows
ALTER TABLE scores ADD COLUMN novelty double precision;                       -- how unlike; see docs/MODELS.md

-- Whether a model serves: the pinned one, or else the newest of those that may.
ALTER TABLE models ADD COLUMN verdict text NOT NULL DEFAULT 'serves'
    CHECK (verdict IN ('serves', 'provisional', 'no_better_than_mean', 'worse_than_current', 'withdrawn'));
ALTER TABLE models ADD COLUMN pinned boolean NOT NULL DEFAULT false;
ALTER TABLE models ADD COLUMN lowest_score double precision;  -- of its training recordings
ALTER TABLE models ADD COLUMN highest_score double precision;
ALTER TABLE models ADD COLUMN outdated_at timestamptz; -- since then a recording of another patient that it learned from is deleted
ALTER TABLE models DROP CONSTRAINT models_by_ordinal;
CREATE INDEX models_by_patient ON models (patient_id, movement, last_ordinal, generation);

-- The training recordings of other patients that a model learned from, by their ordinals.
CREATE TABLE model_sources (
    patient_id    text COLLATE "C" NOT NULL REFERENCES patients,
    model_version text COLLATE "C" NOT NULL REFERENCES models,
    first_ordinal bigint NOT NULL,
    last_ordinal  bigint NOT NULL,
    PRIMARY KEY (patient_id, model_version)
);

-- The model that scores what comes now; null where there is none.
CREATE FUNCTION serving_model(_patient text, _movement text) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT model_version FROM models
    WHERE patient_id = _patient AND movement = _movement AND retired_at IS NULL
        AND (pinned OR verdict IN ('serves', 'provisional'))
    ORDER BY pinned DESC, verdict = 'serves' DESC, last_ordinal DESC, generation DESC, created_at DESC, model_version LIMIT 1
$$;

-- Recordings follow what serves: where nothing does they wait; where something does, what waited is queued, and where it is a
-- model of the patient's own, so is what has but a provisional score. How many were queued. The count is locked.
CREATE FUNCTION follow_serving(_patient text, _movement text, _now timestamptz) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    _serving text := serving_model(_patient, _movement);
    _waited bigint;
BEGIN
    IF _serving IS NULL THEN
        DELETE FROM jobs WHERE kind = 'score' AND subject = ANY (ARRAY(
            SELECT test_event_id FROM recordings
            WHERE patient_id = _patient AND movement = _movement AND status = 'converted'));
        UPDATE recordings SET status = 'awaiting_model', updated_at = _now
        WHERE patient_id = _patient AND movement = _movement AND status = 'converted';
        RETURN 0;
    END IF;
    IF EXISTS (SELECT FROM models WHERE model_version = _serving AND verdict <> 'provisional') THEN
        -- Scorings that have it in hand are committed, or will find it retired.
        UPDATE models SET retired_at = _now
        WHERE patient_id = _patient AND movement = _movement AND retired_at IS NULL AND verdict = 'provisional';
        WITH superseded AS (
            DELETE FROM scores USING recordings
            WHERE scores.test_event_id = recordings.test_event_id AND provisional
                AND patient_id = _patient AND movement = _movement
            RETURNING scores.test_event_id)
        UPDATE recordings SET status = 'awaiting_model', updated_at = _now
        FROM superseded WHERE recordings.test_event_id = superseded.test_event_id;
    END IF;
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

-- Whether the patients of a care provider whom the patient has, and no other, know enough of a movement to learn from: three others
-- with three training recordings each.
CREATE FUNCTION others_can_teach(_patient text, _movement text, _care_provider text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT count(*) >= 3 FROM (
        SELECT FROM patient_care_providers AS own
            JOIN patient_care_providers AS other ON other.care_provider_id = own.care_provider_id
                AND other.patient_id <> own.patient_id
            JOIN training_counts ON training_counts.patient_id = other.patient_id
                AND training_counts.movement = _movement AND recordings >= 3
        WHERE own.patient_id = _patient AND own.care_provider_id = _care_provider
            AND NOT EXISTS (SELECT FROM patient_care_providers AS elsewhere
                            WHERE elsewhere.patient_id = _patient AND elsewhere.care_provider_id <> _care_provider)
        LIMIT 3) AS teachers
$$;

-- As before; what serves is asked for, and where nothing does and others can teach, a provisional model is.
DROP FUNCTION finish_conversion(
    bigint, bigint, uuid, bigint, double precision, double precision, bigint, double precision, double precision, bigint, text,
    text[], double precision[], double precision[], text, bytea, bigint, bigint, timestamptz);
CREATE FUNCTION finish_conversion(
    _job bigint, _fence bigint, _id uuid,
    _samples bigint, _duration double precision, _rate double precision, _gaps bigint, _longest_gap double precision,
    _jitter double precision, _non_monotonic bigint, _constant_axes text,
    _axes text[], _lowest double precision[], _highest double precision[],
    _feature_set text, _vector bytea, _minimum bigint, _every bigint, _now timestamptz, _from_others boolean DEFAULT false
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    _recording record;
    _trainings bigint;
    _ordinal bigint;
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
    _after := CASE
        WHEN _recording.training AND _trainings >= _minimum AND (_trainings - _minimum) % greatest(_every, 1) = 0
            THEN 'training_queued'
        -- The model that serves lives of the others as yet: with each of the patient's own it takes more from these.
        WHEN _recording.training AND _trainings < _minimum AND _from_others AND EXISTS (
            SELECT FROM models WHERE verdict = 'provisional'
                AND model_version = serving_model(_recording.patient_id, _recording.movement)) THEN 'training_queued'
        WHEN _recording.training THEN 'counted'
        WHEN serving_model(_recording.patient_id, _recording.movement) IS NOT NULL THEN 'score_queued'
        ELSE 'awaits_model'
    END;
    IF _after = 'training_queued' THEN
        PERFORM enqueue_job('train', _id, _recording.lane, _now);
    ELSIF _after = 'score_queued' THEN
        PERFORM enqueue_job('score', _id, _recording.lane, _now);
    ELSIF _after = 'awaits_model' AND _from_others
        AND NOT EXISTS (SELECT FROM jobs JOIN recordings ON kind = 'train' AND subject = test_event_id
                        WHERE patient_id = _recording.patient_id AND movement = _recording.movement
                            AND status = 'awaiting_model' AND jobs.state <> 'dead')
        AND others_can_teach(_recording.patient_id, _recording.movement, _recording.lane) THEN
        PERFORM enqueue_job('train', _id, _recording.lane, _now);
        _after := 'provisional_queued';
    END IF;
    UPDATE recordings SET
        status = CASE _after
            WHEN 'score_queued' THEN 'converted' WHEN 'awaits_model' THEN 'awaiting_model'
            WHEN 'provisional_queued' THEN 'awaiting_model' ELSE 'training' END,
        sampling_rate_hz = _rate,
        training_ordinal = CASE WHEN _recording.training THEN _ordinal END,
        updated_at = _now
    WHERE test_event_id = _id;
    RETURN _after;
END
$$;

-- How many recordings waited for the model; null when the lease is over, and -1 when a training recording, the patient's own or
-- one of its sources, was deleted since the model learned: in both cases nothing was written. `_sources` is a JSON list of
-- {patient, first, last, generation}.
DROP FUNCTION finish_training(
    bigint, bigint, text, text, text, bigint, text, bytea, text, double precision, text, timestamptz, bigint, bigint, bigint);
CREATE FUNCTION finish_training(
    _job bigint, _fence bigint, _version text, _patient text, _movement text, _training_recordings bigint,
    _artifact_key text, _artifact_digest bytea, _feature_set text, _error double precision, _card text, _now timestamptz,
    _first_ordinal bigint DEFAULT 1, _last_ordinal bigint DEFAULT NULL, _generation bigint DEFAULT 0,
    _verdict text DEFAULT 'serves', _lowest_score double precision DEFAULT NULL,
    _highest_score double precision DEFAULT NULL, _sources text DEFAULT '[]'
) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM jobs WHERE job_id = _job AND fence = _fence AND state = 'leased' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO training_counts (patient_id, movement, recordings) VALUES (_patient, _movement, 0)
    ON CONFLICT (patient_id, movement) DO NOTHING;
    -- Locks the counts, its own and those of its sources, in one order: conversions that saw no model are committed, or will see it,
    -- and deletions of what it learned from are, or will find it.
    PERFORM FROM training_counts
    WHERE movement = _movement AND patient_id = ANY (ARRAY(
        SELECT _patient UNION SELECT source.patient FROM json_to_recordset(CAST(_sources AS json)) AS source (patient text)))
    ORDER BY patient_id FOR UPDATE;
    IF EXISTS (
        SELECT FROM json_to_recordset(CAST(_sources AS json)) AS source (patient text, generation bigint)
            LEFT JOIN training_counts ON training_counts.patient_id = source.patient AND movement = _movement
        WHERE training_counts.generation IS DISTINCT FROM source.generation
        UNION ALL
        SELECT FROM training_counts
        WHERE patient_id = _patient AND movement = _movement AND generation <> _generation
            AND coalesce(_last_ordinal, _training_recordings) > 0
    ) THEN
        RETURN -1;
    END IF;
    DELETE FROM jobs WHERE job_id = _job;
    INSERT INTO models (model_version, patient_id, movement, training_recordings, artifact_key, artifact_digest,
                        feature_set, leave_one_out_error, card, created_at, first_ordinal, last_ordinal, generation,
                        verdict, lowest_score, highest_score)
    VALUES (_version, _patient, _movement, _training_recordings, _artifact_key, _artifact_digest, _feature_set, _error,
            _card, _now, _first_ordinal, coalesce(_last_ordinal, _training_recordings), _generation,
            _verdict, _lowest_score, _highest_score);
    INSERT INTO model_sources (patient_id, model_version, first_ordinal, last_ordinal)
    SELECT source.patient, _version, source.first, source.last
    FROM json_to_recordset(CAST(_sources AS json)) AS source (patient text, first bigint, last bigint);
    RETURN follow_serving(_patient, _movement, _now);
END
$$;
