-- Who may sign in, and on which terms. Times are microseconds since 1970-01-01 UTC.

CREATE TABLE patients (
    patient_id           TEXT PRIMARY KEY,
    email                TEXT,
    first_name           TEXT,
    last_name            TEXT,
    privacy_consent_date TEXT,
    created_at           INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE care_providers (
    care_provider_id TEXT PRIMARY KEY,
    email            TEXT,
    created_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE patient_care_providers (
    care_provider_id TEXT NOT NULL REFERENCES care_providers,
    patient_id       TEXT NOT NULL REFERENCES patients,
    linked_at        INTEGER NOT NULL,
    PRIMARY KEY (care_provider_id, patient_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX patient_care_providers_by_patient ON patient_care_providers (patient_id, linked_at, care_provider_id);

CREATE TABLE accounts (
    account_id       TEXT PRIMARY KEY,
    email            TEXT NOT NULL UNIQUE, -- lower case
    password_hash    TEXT NOT NULL,        -- PHC string
    role             TEXT NOT NULL CHECK (role IN ('patient', 'care_provider', 'admin')),
    patient_id       TEXT REFERENCES patients,
    care_provider_id TEXT REFERENCES care_providers,
    created_at       INTEGER NOT NULL,
    CHECK ((role = 'patient') = (patient_id IS NOT NULL)),
    CHECK ((role = 'care_provider') = (care_provider_id IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- A session is one sign-in. Its refresh token is kept as a hash only and changes at each use; the hash
-- before it is kept to notice that an old one is used again.
CREATE TABLE sessions (
    session_id            TEXT PRIMARY KEY,
    account_id            TEXT NOT NULL REFERENCES accounts,
    refresh_hash          BLOB NOT NULL UNIQUE,
    previous_refresh_hash BLOB UNIQUE,
    created_at            INTEGER NOT NULL,
    expires_at            INTEGER NOT NULL,
    revoked_at            INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE signing_keys (
    key_id      TEXT PRIMARY KEY,
    private_key BLOB NOT NULL, -- Ed25519, PKCS#8 DER
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Failed sign-ins in the current window, for an account and for an address. The key is a hash.
CREATE TABLE sign_in_attempts (
    attempt_key  BLOB PRIMARY KEY,
    failures     INTEGER NOT NULL,
    window_start INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_in_attempts_by_window ON sign_in_attempts (window_start);
