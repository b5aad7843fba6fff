-- Secrets of the program's own, one a purpose: all processes sign and check with the same.

CREATE TABLE secrets (
    purpose    text PRIMARY KEY,
    secret     bytea NOT NULL,
    created_at timestamptz NOT NULL
);
