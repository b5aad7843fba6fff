-- What clients of the inference server call the models of a patient and a movement. Random: it says nothing of the patient.
CREATE TABLE model_names (
    model_name text COLLATE "C" PRIMARY KEY,
    patient_id text COLLATE "C" NOT NULL REFERENCES patients,
    movement   text COLLATE "C" NOT NULL,
    UNIQUE (patient_id, movement)
);
INSERT INTO model_names
    SELECT replace(gen_random_uuid()::text, '-', ''), patient_id, movement FROM models GROUP BY patient_id, movement;
