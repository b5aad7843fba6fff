-- The audit record: who asked for what, when, from where, and what became of it. Rows are added and never changed; each
-- is linked to the one before it by a hash (docs/AUDIT.md). Times are microseconds since 1970-01-01 UTC.

CREATE TABLE audit_records (
    position         INTEGER PRIMARY KEY, -- from 1, without a gap
    at               INTEGER NOT NULL,
    role             TEXT NOT NULL,
    account_id       TEXT,
    acting_as        TEXT,                -- the patient or care provider that the account is
    operation        TEXT NOT NULL,
    patients         TEXT NOT NULL,       -- JSON list of ids
    test_event_id    TEXT,
    care_provider_id TEXT,                -- whom it was about
    address          TEXT,
    request_id       TEXT,
    result           TEXT NOT NULL,
    detail           TEXT,
    link             BLOB NOT NULL
) STRICT;
CREATE INDEX audit_records_by_time ON audit_records (at, position);
CREATE INDEX audit_records_by_account ON audit_records (account_id, at, position);

-- Which rows are about a patient: an index of audit_records.patients.
CREATE TABLE audit_patients (
    patient_id TEXT NOT NULL,
    at         INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    PRIMARY KEY (patient_id, at, position)
) STRICT, WITHOUT ROWID;

-- The last row of the record, and the last row that retention took away. One row, whose lock makes one chain.
CREATE TABLE audit_head (
    chain           INTEGER PRIMARY KEY CHECK (chain = 1),
    position        INTEGER NOT NULL,
    link            BLOB NOT NULL,
    pruned_position INTEGER NOT NULL CHECK (pruned_position <= position),
    pruned_link     BLOB NOT NULL
) STRICT;
INSERT INTO audit_head VALUES (1, 0, zeroblob(32), 0, zeroblob(32));

CREATE TRIGGER audit_records_stay BEFORE UPDATE ON audit_records
BEGIN
    SELECT RAISE(ABORT, 'the audit record is never changed');
END;
CREATE TRIGGER audit_records_are_kept BEFORE DELETE ON audit_records
WHEN OLD.position > (SELECT pruned_position FROM audit_head)
BEGIN
    SELECT RAISE(ABORT, 'the audit record is never deleted');
END;
CREATE TRIGGER audit_patients_stay BEFORE UPDATE ON audit_patients
BEGIN
    SELECT RAISE(ABORT, 'the audit record is never changed');
END;
CREATE TRIGGER audit_patients_are_kept BEFORE DELETE ON audit_patients
WHEN OLD.position > (SELECT pruned_position FROM audit_head)
BEGIN
    SELECT RAISE(ABORT, 'the audit record is never deleted');
END;
CREATE TRIGGER audit_head_only_grows BEFORE UPDATE ON audit_head
WHEN NEW.position < OLD.position OR NEW.pruned_position < OLD.pruned_position
BEGIN
    SELECT RAISE(ABORT, 'the audit record only grows');
END;
CREATE TRIGGER audit_head_is_kept BEFORE DELETE ON audit_head
BEGIN
    SELECT RAISE(ABORT, 'the audit record is never deleted');
END;
