-- What lists are searched and ordered by.

-- The words that a patient is found by, in lower case.
CREATE TABLE patient_terms (
    patient_id text COLLATE "C" NOT NULL REFERENCES patients ON DELETE CASCADE,
    kind       text COLLATE "C" NOT NULL CHECK (kind IN ('email', 'first_name', 'id', 'name')), -- name: last and first; every patient has one
    term       text COLLATE "C" NOT NULL,
    PRIMARY KEY (patient_id, kind)
);
CREATE INDEX patient_terms_by_term ON patient_terms (term, patient_id, kind);
CREATE INDEX patient_terms_by_kind ON patient_terms (kind, term, patient_id);

CREATE VIEW terms_of_patients AS
    SELECT patient_id, 'name' AS kind,
        lower(trim(coalesce(last_name, '') || ' ' || coalesce(first_name, '')) COLLATE "und-x-icu") AS term
    FROM patients
    UNION ALL
    SELECT patient_id, 'id', lower(patient_id COLLATE "und-x-icu") FROM patients
    UNION ALL
    SELECT patient_id, 'email', lower(email COLLATE "und-x-icu") FROM patients WHERE email IS NOT NULL
    UNION ALL
    SELECT patient_id, 'first_name', lower(first_name COLLATE "und-x-icu") FROM patients WHERE first_name IS NOT NULL;

CREATE FUNCTION renew_patient_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM patient_terms WHERE patient_id = NEW.patient_id;
    END IF;
    INSERT INTO patient_terms SELECT patient_id, kind, term FROM terms_of_patients WHERE patient_id = NEW.patient_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER patient_terms_of_a_patient AFTER INSERT OR UPDATE OF email, first_name, last_name ON patients
    FOR EACH ROW EXECUTE FUNCTION renew_patient_terms();
INSERT INTO patient_terms SELECT patient_id, kind, term FROM terms_of_patients;

-- Events in time: one whose beginning is not known stands where it became known.
CREATE INDEX test_events_by_time ON test_events (patient_id, coalesce(start_time, created_at), test_event_id);
CREATE INDEX test_events_scored ON test_events (patient_id, coalesce(start_time, created_at), test_event_id)
    WHERE balance_score IS NOT NULL;
