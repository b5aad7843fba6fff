-- The audit record: who asked for what, when, from where, and what became of it. Rows are added and never changed; each
-- is linked to the one before it by a hash (docs/AUDIT.md).

CREATE TABLE audit_records (
    position         bigint PRIMARY KEY, -- from 1, without a gap
    at               timestamptz NOT NULL CHECK (at >= '1970-01-01Z' AND at < '10000-01-01Z'),
    role             text NOT NULL,
    account_id       text COLLATE "C",
    acting_as        text,               -- the patient or care provider that the account is
    operation        text NOT NULL,
    patients         text NOT NULL,      -- JSON list of ids
    test_event_id    text,
    care_provider_id text,               -- whom it was about
    address          text,
    request_id       text,
    result           text NOT NULL,
    detail           text,
    link             bytea NOT NULL
);
CREATE INDEX audit_records_by_time ON audit_records (at, position);
CREATE INDEX audit_records_by_account ON audit_records (account_id, at, position);

-- Which rows are about a patient: an index of audit_records.patients.
CREATE TABLE audit_patients (
    patient_id text COLLATE "C" NOT NULL,
    at         timestamptz NOT NULL,
    position   bigint NOT NULL,
    PRIMARY KEY (patient_id, at, position)
);

-- The last row of the record, and the last row that retention took away. One row, whose lock makes one chain.
CREATE TABLE audit_head (
    chain           bigint PRIMARY KEY CHECK (chain = 1),
    position        bigint NOT NULL,
    link            bytea NOT NULL,
    pruned_position bigint NOT NULL CHECK (pruned_position <= position),
    pruned_link     bytea NOT NULL
);
INSERT INTO audit_head VALUES (1, 0, decode(repeat('00', 32), 'hex'), 0, decode(repeat('00', 32), 'hex'));

-- Adds records, given as a JSON list with the digest of what each says, and links them. All processes take turns at the
-- head's lock, so that there is one chain.
CREATE FUNCTION append_audit(_records text) RETURNS audit_head
LANGUAGE plpgsql AS $$
DECLARE
    _head audit_head;
    _record jsonb;
BEGIN
    SELECT * INTO STRICT _head FROM audit_head WHERE chain = 1 FOR UPDATE;
    FOR _record IN SELECT value FROM jsonb_array_elements(_records::jsonb) WITH ORDINALITY ORDER BY ordinality LOOP
        _head.position := _head.position + 1;
        _head.link := sha256(_head.link || int8send(_head.position) || decode(_record ->> 'digest', 'hex'));
        INSERT INTO audit_records (position, at, role, account_id, acting_as, operation, patients, test_event_id,
                                   care_provider_id, address, request_id, result, detail, link)
        VALUES (_head.position, timestamptz 'epoch' + (_record ->> 'at')::bigint * interval '1 microsecond',
                _record ->> 'role', _record ->> 'account_id', _record ->> 'acting_as', _record ->> 'operation',
                _record ->> 'patients', _record ->> 'test_event_id', _record ->> 'care_provider_id', _record ->> 'address',
                _record ->> 'request_id', _record ->> 'result', _record ->> 'detail', _head.link);
        INSERT INTO audit_patients (patient_id, at, position)
        SELECT DISTINCT patient, timestamptz 'epoch' + (_record ->> 'at')::bigint * interval '1 microsecond', _head.position
        FROM jsonb_array_elements_text((_record ->> 'patients')::jsonb) AS patient;
    END LOOP;
    UPDATE audit_head SET position = _head.position, link = _head.link WHERE chain = 1;
    RETURN _head;
END
$$;

-- Deletes rows before the chain's beginning, at most so many; how many.
CREATE FUNCTION prune_audit(_limit bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    _gone record;
    _deleted bigint := 0;
BEGIN
    FOR _gone IN
        SELECT position, at, patients FROM audit_records
        WHERE position <= (SELECT pruned_position FROM audit_head WHERE chain = 1) ORDER BY position LIMIT _limit
    LOOP
        DELETE FROM audit_patients
        WHERE patient_id = ANY (ARRAY(SELECT jsonb_array_elements_text(_gone.patients::jsonb)))
              AND at = _gone.at AND position = _gone.position;
        DELETE FROM audit_records WHERE position = _gone.position;
        _deleted := _deleted + 1;
    END LOOP;
    RETURN _deleted;
END
$$;

CREATE FUNCTION refuse_audit_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit record is never changed';
END
$$;

CREATE FUNCTION refuse_audit_deletion() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.position > (SELECT pruned_position FROM audit_head) THEN
        RAISE EXCEPTION 'the audit record is never deleted';
    END IF;
    RETURN OLD;
END
$$;

CREATE TRIGGER audit_records_stay BEFORE UPDATE ON audit_records
    FOR EACH ROW EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_records_are_kept BEFORE DELETE ON audit_records
    FOR EACH ROW EXECUTE FUNCTION refuse_audit_deletion();
CREATE TRIGGER audit_records_are_not_emptied BEFORE TRUNCATE ON audit_records
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_patients_stay BEFORE UPDATE ON audit_patients
    FOR EACH ROW EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_patients_are_kept BEFORE DELETE ON audit_patients
    FOR EACH ROW EXECUTE FUNCTION refuse_audit_deletion();
CREATE TRIGGER audit_patients_are_not_emptied BEFORE TRUNCATE ON audit_patients
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_head_only_grows BEFORE UPDATE ON audit_head
    FOR EACH ROW WHEN (NEW.position < OLD.position OR NEW.pruned_position < OLD.pruned_position)
    EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_head_is_kept BEFORE DELETE OR TRUNCATE ON audit_head
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
