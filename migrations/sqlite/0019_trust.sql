-- What is known of how far a score can be trusted.
ALTER TABLE scores ADD COLUMN provisional INTEGER NOT NULL DEFAULT 0;     -- 1: by a model without a scored recording of the patient's own
ALTER TABLE scores ADD COLUMN unlike_training INTEGER NOT NULL DEFAULT 0; -- 1: the recording is unlike those that the model knows
ALTER TABLE scores ADD COLUMN novelty REAL;                               -- how unlike; see docs/MODELS.md

-- Whether a model serves: the pinned one, or else the newest of those that may. Two may be of the same training recordings.
CREATE TABLE models_with_verdicts (
    model_version       TEXT PRIMARY KEY,
    patient_id          TEXT NOT NULL REFERENCES patients,
    movement            TEXT NOT NULL,
    training_recordings INTEGER NOT NULL, -- how many there were
    artifact_key        TEXT NOT NULL,
    artifact_digest     BLOB NOT NULL,    -- BLAKE3
    feature_set         TEXT NOT NULL,
    leave_one_out_error REAL NOT NULL,
    card                TEXT NOT NULL,    -- JSON
    created_at          INTEGER NOT NULL,
    first_ordinal       INTEGER NOT NULL,
    last_ordinal        INTEGER NOT NULL,
    generation          INTEGER NOT NULL,
    retired_at          INTEGER,
    verdict             TEXT NOT NULL DEFAULT 'serves'
        CHECK (verdict IN ('serves', 'provisional', 'no_better_than_mean', 'worse_than_current', 'withdrawn')),
    pinned              INTEGER NOT NULL DEFAULT 0,
    lowest_score        REAL,             -- of its training recordings
    highest_score       REAL,
    outdated_at         INTEGER           -- since then a recording of another patient that it learned from is deleted
) STRICT, WITHOUT ROWID;
INSERT INTO models_with_verdicts (
        model_version, patient_id, movement, training_recordings, artifact_key, artifact_digest, feature_set,
        leave_one_out_error, card, created_at, first_ordinal, last_ordinal, generation, retired_at)
    SELECT model_version, patient_id, movement, training_recordings, artifact_key, artifact_digest, feature_set,
        leave_one_out_error, card, created_at, first_ordinal, last_ordinal, generation, retired_at FROM models;
DROP TABLE models;
ALTER TABLE models_with_verdicts RENAME TO models;
CREATE INDEX models_by_patient ON models (patient_id, movement, last_ordinal, generation);

-- The training recordings of other patients that a model learned from, by their ordinals.
CREATE TABLE model_sources (
    patient_id    TEXT NOT NULL REFERENCES patients,
    model_version TEXT NOT NULL REFERENCES models,
    first_ordinal INTEGER NOT NULL,
    last_ordinal  INTEGER NOT NULL,
    PRIMARY KEY (patient_id, model_version)
) STRICT, WITHOUT ROWID;
