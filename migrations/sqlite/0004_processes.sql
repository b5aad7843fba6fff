-- What several processes need: two that start at once agree on one first key; the depth of the queue is read from an
-- index.

ALTER TABLE signing_keys ADD COLUMN ordinal INTEGER; -- from 1, in the order in which they were made
UPDATE signing_keys SET ordinal = (
    SELECT count(*) FROM signing_keys AS older
    WHERE (older.created_at, older.key_id) <= (signing_keys.created_at, signing_keys.key_id));
CREATE UNIQUE INDEX signing_keys_by_ordinal ON signing_keys (ordinal);

DROP INDEX jobs_by_age;
CREATE INDEX jobs_by_state ON jobs (kind, state, enqueued_at);
CREATE INDEX jobs_dead ON jobs (state, job_id) WHERE state = 'dead';
