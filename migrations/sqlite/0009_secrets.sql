-- Secrets of the program's own, one a purpose. Times are microseconds since 1970-01-01 UTC.

CREATE TABLE secrets (
    purpose    TEXT PRIMARY KEY,
    secret     BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
