-- What came without being announced: patients of whom only the id is known, and refresh tokens that were used before.

-- true: a recording came for the id before anybody made the patient.
ALTER TABLE patients ADD COLUMN placeholder boolean NOT NULL DEFAULT false;

-- Any of these presented again says that somebody else has the session's tokens. They go with their session.
CREATE TABLE used_refresh_tokens (
    refresh_hash bytea PRIMARY KEY,
    session_id   uuid NOT NULL REFERENCES sessions ON DELETE CASCADE
);
CREATE INDEX used_refresh_tokens_by_session ON used_refresh_tokens (session_id);
INSERT INTO used_refresh_tokens
    SELECT previous_refresh_hash, session_id FROM sessions WHERE previous_refresh_hash IS NOT NULL;
ALTER TABLE sessions DROP COLUMN previous_refresh_hash;
