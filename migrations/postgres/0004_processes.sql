-- What several processes need: two that start at once agree on one first key; the depth of the queue is read from an
-- index.

ALTER TABLE signing_keys ADD COLUMN ordinal bigint; -- from 1, in the order in which they were made
CREATE UNIQUE INDEX signing_keys_by_ordinal ON signing_keys (ordinal);

CREATE INDEX jobs_by_state ON jobs (kind, state, enqueued_at);
CREATE INDEX jobs_dead ON jobs (job_id) WHERE state = 'dead';
