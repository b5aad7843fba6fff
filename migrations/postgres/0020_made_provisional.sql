-- A provisional model is one, also when an operator has taken it back, which is its verdict then.
ALTER TABLE models ADD COLUMN made_provisional boolean NOT NULL DEFAULT false; -- before it was taken back
ALTER TABLE models ADD COLUMN is_provisional boolean NOT NULL GENERATED ALWAYS AS (made_provisional OR verdict = 'provisional') STORED;

-- As before, of models that are provisional.
CREATE OR REPLACE FUNCTION follow_serving(_patient text, _movement text, _now timestamptz) RETURNS bigint
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
    IF EXISTS (SELECT FROM models WHERE model_version = _serving AND NOT is_provisional) THEN
        -- Scorings that have it in hand are committed, or will find it retired.
        UPDATE models SET retired_at = _now
        WHERE patient_id = _patient AND movement = _movement AND retired_at IS NULL AND is_provisional;
        WITH superseded AS (
            DELETE FROM scores USING recordings
            WHERE scores.test_event_id = recordings.test_event_id AND scores.provisional
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
