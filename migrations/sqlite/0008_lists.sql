-- What lists are searched and ordered by.

-- The words that a patient is found by, in lower case. SQLite's lower() knows the letters A to Z only.
CREATE TABLE patient_terms (
    patient_id TEXT NOT NULL REFERENCES patients ON DELETE CASCADE,
    kind       TEXT NOT NULL CHECK (kind IN ('email', 'first_name', 'id', 'name')), -- name: last and first; every patient has one
    term       TEXT NOT NULL,
    PRIMARY KEY (patient_id, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX patient_terms_by_term ON patient_terms (term, patient_id, kind);
CREATE INDEX patient_terms_by_kind ON patient_terms (kind, term, patient_id);

CREATE VIEW terms_of_patients AS
    SELECT patient_id, 'name' AS kind, lower(trim(coalesce(last_name, '') || ' ' || coalesce(first_name, ''))) AS term
    FROM patients
    UNION ALL
    SELECT patient_id, 'id', lower(patient_id) FROM patients
    UNION ALL
    SELECT patient_id, 'email', lower(email) FROM patients WHERE email IS NOT NULL
    UNION ALL
    SELECT patient_id, 'first_name', lower(first_name) FROM patients WHERE first_name IS NOT NULL;

CREATE TRIGGER patient_terms_of_a_new_patient AFTER INSERT ON patients BEGIN
    INSERT INTO patient_terms SELECT patient_id, kind, term FROM terms_of_patients WHERE patient_id = NEW.patient_id;
END;
CREATE TRIGGER patient_terms_of_a_changed_patient AFTER UPDATE OF email, first_name, last_name ON patients BEGIN
    DELETE FROM patient_terms WHERE patient_id = NEW.patient_id;
    INSERT INTO patient_terms SELECT patient_id, kind, term FROM terms_of_patients WHERE patient_id = NEW.patient_id;
END;
INSERT INTO patient_terms SELECT patient_id, kind, term FROM terms_of_patients;

-- Because of the triggers SQLite looks for a new patient's id in every table that refers to patients.
CREATE INDEX accounts_by_patient ON accounts (patient_id) WHERE patient_id IS NOT NULL;

-- Events in time: one whose beginning is not known stands where it became known.
CREATE INDEX test_events_by_time ON test_events (patient_id, coalesce(start_time, created_at), test_event_id);
CREATE INDEX test_events_scored ON test_events (patient_id, coalesce(start_time, created_at), test_event_id)
    WHERE balance_score IS NOT NULL;
