-- Own accounts: proof of their e-mail address, mails that are to be sent, and a second factor. Keys of an identity provider.

-- NULL: nobody has shown yet that mail to the address reaches them.
ALTER TABLE accounts ADD COLUMN confirmed_at INTEGER;
UPDATE accounts SET confirmed_at = created_at;

-- Where the session was begun, as a hash: an address that is known.
ALTER TABLE sessions ADD COLUMN address_hash BLOB;
CREATE INDEX sessions_by_account ON sessions (account_id, expires_at);

-- A mail with a code that is to be sent. The code is made when it is sent: none stands here.
CREATE TABLE mails (
    mail_id    TEXT PRIMARY KEY,
    recipient  TEXT NOT NULL, -- lower case; it may have no account
    purpose    TEXT NOT NULL CHECK (purpose IN ('confirm', 'reset')),
    attempts   INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (recipient, purpose)
) STRICT, WITHOUT ROWID;
CREATE INDEX mails_by_due ON mails (due_at);

-- The code that was mailed last.
CREATE TABLE account_codes (
    account_id    TEXT NOT NULL REFERENCES accounts,
    purpose       TEXT NOT NULL CHECK (purpose IN ('confirm', 'reset')),
    code_hash     TEXT NOT NULL, -- PHC string
    attempts_left INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    PRIMARY KEY (account_id, purpose)
) STRICT, WITHOUT ROWID;
CREATE INDEX account_codes_by_expiry ON account_codes (expires_at);

-- The secret that an authenticator app shares. It counts from when a first code of it was shown.
CREATE TABLE second_factors (
    account_id   TEXT PRIMARY KEY REFERENCES accounts,
    secret       BLOB NOT NULL,
    confirmed_at INTEGER,
    last_step    INTEGER NOT NULL -- the newest time step that was used: none holds twice
) STRICT, WITHOUT ROWID;

CREATE TABLE recovery_codes (
    account_id TEXT NOT NULL REFERENCES accounts,
    code_hash  BLOB NOT NULL,
    PRIMARY KEY (account_id, code_hash)
) STRICT, WITHOUT ROWID;

-- The public keys of the identity provider, as they were read last.
CREATE TABLE provider_keys (
    issuer  TEXT PRIMARY KEY,
    key_set BLOB NOT NULL, -- a JSON Web Key Set
    read_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
