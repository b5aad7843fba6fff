-- Bounds of sign-in and of what a session leaves behind; and rows of the audit record that are put in the place of others.

-- From where the password was set anew by a mailed code, as a hash, and for how long that address is known.
ALTER TABLE accounts ADD COLUMN reset_address_hash BLOB;
ALTER TABLE accounts ADD COLUMN reset_address_until INTEGER;
-- For whoever must know that another admin is left.
CREATE INDEX accounts_by_role ON accounts (role, account_id);

-- How often the session's refresh token was changed. A used token has the number of the change that it brought about.
ALTER TABLE sessions ADD COLUMN rotations INTEGER NOT NULL DEFAULT 0;
ALTER TABLE used_refresh_tokens ADD COLUMN ordinal INTEGER NOT NULL DEFAULT 0;
DROP INDEX used_refresh_tokens_by_session;
CREATE INDEX used_refresh_tokens_by_session ON used_refresh_tokens (session_id, ordinal);

-- REPLACE deletes the row that is in its way, and fires no trigger of deletions unless recursive_triggers is on.
CREATE TRIGGER audit_records_are_not_replaced BEFORE INSERT ON audit_records
WHEN EXISTS (SELECT 1 FROM audit_records WHERE position = NEW.position)
BEGIN
    SELECT RAISE(ABORT, 'the audit record is never changed');
END;
CREATE TRIGGER audit_head_is_not_replaced BEFORE INSERT ON audit_head
WHEN EXISTS (SELECT 1 FROM audit_head WHERE chain = NEW.chain)
BEGIN
    SELECT RAISE(ABORT, 'the audit record is never changed');
END;
