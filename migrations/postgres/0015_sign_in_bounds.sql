-- Bounds of sign-in and of what a session leaves behind.

-- From where the password was set anew by a mailed code, as a hash, and for how long that address is known.
ALTER TABLE accounts ADD COLUMN reset_address_hash bytea;
ALTER TABLE accounts ADD COLUMN reset_address_until timestamptz;
-- For whoever must know that another admin is left.
CREATE INDEX accounts_by_role ON accounts (role, account_id);

-- How often the session's refresh token was changed. A used token has the number of the change that it brought about.
ALTER TABLE sessions ADD COLUMN rotations bigint NOT NULL DEFAULT 0;
ALTER TABLE used_refresh_tokens ADD COLUMN ordinal bigint NOT NULL DEFAULT 0;
DROP INDEX used_refresh_tokens_by_session;
CREATE INDEX used_refresh_tokens_by_session ON used_refresh_tokens (session_id, ordinal);
