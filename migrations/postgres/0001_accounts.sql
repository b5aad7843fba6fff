-- Who may sign in, and on which terms. Text that is an id or an order of rows is compared byte by byte.

CREATE TABLE patients (
    patient_id           text COLLATE "C" PRIMARY KEY,
    email                text,
    first_name           text COLLATE "C",
    last_name            text COLLATE "C",
    privacy_consent_date text,
    created_at           timestamptz NOT NULL
);

CREATE TABLE care_providers (
    care_provider_id text COLLATE "C" PRIMARY KEY,
    email            text,
    created_at       timestamptz NOT NULL
);

CREATE TABLE patient_care_providers (
    care_provider_id text COLLATE "C" NOT NULL REFERENCES care_providers,
    patient_id       text COLLATE "C" NOT NULL REFERENCES patients,
    linked_at        timestamptz NOT NULL,
    PRIMARY KEY (care_provider_id, patient_id)
);
CREATE INDEX patient_care_providers_by_patient ON patient_care_providers (patient_id, linked_at, care_provider_id);

CREATE TABLE accounts (
    account_id       uuid PRIMARY KEY,
    email            text COLLATE "C" NOT NULL UNIQUE, -- lower case
    password_hash    text NOT NULL,                    -- PHC string
    role             text NOT NULL CHECK (role IN ('patient', 'care_provider', 'admin')),
    patient_id       text COLLATE "C" REFERENCES patients,
    care_provider_id text COLLATE "C" REFERENCES care_providers,
    created_at       timestamptz NOT NULL,
    CHECK ((role = 'patient') = (patient_id IS NOT NULL)),
    CHECK ((role = 'care_provider') = (care_provider_id IS NOT NULL))
);

-- A session is one sign-in. Its refresh token is kept as a hash only and changes at each use; the hash
-- before it is kept to notice that an old one is used again.
CREATE TABLE sessions (
    session_id            uuid PRIMARY KEY,
    account_id            uuid NOT NULL REFERENCES accounts,
    refresh_hash          bytea NOT NULL UNIQUE,
    previous_refresh_hash bytea UNIQUE,
    created_at            timestamptz NOT NULL,
    expires_at            timestamptz NOT NULL,
    revoked_at            timestamptz
);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE signing_keys (
    key_id      text COLLATE "C" PRIMARY KEY,
    private_key bytea NOT NULL, -- Ed25519, PKCS#8 DER
    created_at  timestamptz NOT NULL
);

-- Failed sign-ins in the current window, for an account and for an address. The key is a hash.
CREATE TABLE sign_in_attempts (
    attempt_key  bytea PRIMARY KEY,
    failures     bigint NOT NULL,
    window_start timestamptz NOT NULL
);
CREATE INDEX sign_in_attempts_by_window ON sign_in_attempts (window_start);
