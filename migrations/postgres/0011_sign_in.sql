-- Own accounts: proof of their e-mail address, mails that are to be sent, and a second factor. Keys of an identity provider.

-- NULL: nobody has shown yet that mail to the address reaches them.
ALTER TABLE accounts ADD COLUMN confirmed_at timestamptz;
UPDATE accounts SET confirmed_at = created_at;

-- Where the session was begun, as a hash: an address that is known.
ALTER TABLE sessions ADD COLUMN address_hash bytea;
CREATE INDEX sessions_by_account ON sessions (account_id, expires_at);

-- A mail with a code that is to be sent. The code is made when it is sent: none stands here.
CREATE TABLE mails (
    mail_id    uuid PRIMARY KEY,
    recipient  text COLLATE "C" NOT NULL, -- lower case; it may have no account
    purpose    text NOT NULL CHECK (purpose IN ('confirm', 'reset')),
    attempts   bigint NOT NULL,
    due_at     timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (recipient, purpose)
);
CREATE INDEX mails_by_due ON mails (due_at);

-- The code that was mailed last.
CREATE TABLE account_codes (
    account_id    uuid NOT NULL REFERENCES accounts,
    purpose       text NOT NULL CHECK (purpose IN ('confirm', 'reset')),
    code_hash     text NOT NULL, -- PHC string
    attempts_left bigint NOT NULL,
    expires_at    timestamptz NOT NULL,
    PRIMARY KEY (account_id, purpose)
);
CREATE INDEX account_codes_by_expiry ON account_codes (expires_at);

-- The secret that an authenticator app shares. It counts from when a first code of it was shown.
CREATE TABLE second_factors (
    account_id   uuid PRIMARY KEY REFERENCES accounts,
    secret       bytea NOT NULL,
    confirmed_at timestamptz,
    last_step    bigint NOT NULL -- the newest time step that was used: none holds twice
);

CREATE TABLE recovery_codes (
    account_id uuid NOT NULL REFERENCES accounts,
    code_hash  bytea NOT NULL,
    PRIMARY KEY (account_id, code_hash)
);

-- The public keys of the identity provider, as they were read last.
CREATE TABLE provider_keys (
    issuer  text COLLATE "C" PRIMARY KEY,
    key_set bytea NOT NULL, -- a JSON Web Key Set
    read_at timestamptz NOT NULL
);
