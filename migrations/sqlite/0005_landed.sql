-- What came without being announced: patients of whom only the id is known, and refresh tokens that were used before.

-- 1: a recording came for the id before anybody made the patient.
ALTER TABLE patients ADD COLUMN placeholder INTEGER NOT NULL DEFAULT 0 CHECK (placeholder IN (0, 1));

-- A session without the hash before its newest one: every used one is kept beside it.
CREATE TABLE sessions_of_one_hash (
    session_id   TEXT PRIMARY KEY,
    account_id   TEXT NOT NULL REFERENCES accounts,
    refresh_hash BLOB NOT NULL UNIQUE,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    revoked_at   INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO sessions_of_one_hash
    SELECT session_id, account_id, refresh_hash, created_at, expires_at, revoked_at FROM sessions;

-- Any of these presented again says that somebody else has the session's tokens. They go with their session.
CREATE TABLE used_refresh_tokens (
    refresh_hash BLOB PRIMARY KEY,
    session_id   TEXT NOT NULL REFERENCES sessions_of_one_hash ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX used_refresh_tokens_by_session ON used_refresh_tokens (session_id);
INSERT INTO used_refresh_tokens
    SELECT previous_refresh_hash, session_id FROM sessions WHERE previous_refresh_hash IS NOT NULL;

DROP TABLE sessions;
ALTER TABLE sessions_of_one_hash RENAME TO sessions;
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
