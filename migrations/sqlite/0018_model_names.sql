-- What clients of the inference server call the models of a patient and a movement. Random: it says nothing of the patient.
CREATE TABLE model_names (
    model_name TEXT PRIMARY KEY,
    patient_id TEXT NOT NULL REFERENCES patients,
    movement   TEXT NOT NULL,
    UNIQUE (patient_id, movement)
) STRICT, WITHOUT ROWID;
INSERT INTO model_names
    SELECT lower(hex(randomblob(16))), patient_id, movement FROM models GROUP BY patient_id, movement;
