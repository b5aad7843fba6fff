-- Tests that a patient is to do.
CREATE TABLE assigned_tests (
    patient_id  TEXT NOT NULL REFERENCES patients,
    test_type   TEXT NOT NULL REFERENCES test_types,
    assigned_at INTEGER NOT NULL,
    PRIMARY KEY (patient_id, test_type)
) STRICT, WITHOUT ROWID;

CREATE INDEX recordings_by_patient ON recordings (patient_id, year, month, day);

-- Test events that were deleted. The row stays: an upload that began before a deletion does not count after it.
CREATE TABLE deletions (
    test_event_id TEXT PRIMARY KEY,
    times         INTEGER NOT NULL,                           -- how often it was deleted
    patient_id    TEXT,                                       -- whose it was, as long as it is pending
    pending       INTEGER NOT NULL CHECK (pending IN (0, 1)), -- 1: objects may be there still
    swept         INTEGER NOT NULL CHECK (swept IN (0, 1)),   -- 1: all of them were removed once
    sweep_at      INTEGER NOT NULL, -- until then work that was under way may make some of them again
    requested_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The objects of a pending deletion.
CREATE TABLE deletion_objects (
    test_event_id TEXT NOT NULL REFERENCES deletions,
    object_key    TEXT NOT NULL,
    PRIMARY KEY (test_event_id, object_key)
) STRICT, WITHOUT ROWID;

-- The ordinal of the last training recording, which no other gets when it is deleted, and how often one was deleted.
ALTER TABLE training_counts ADD COLUMN last_ordinal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE training_counts ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
UPDATE training_counts SET last_ordinal = recordings;

-- A model is of the training recordings from one ordinal to another as they were in a generation. One that learned from a
-- recording that was deleted is retired: it serves no more.
CREATE TABLE models_with_ordinals (
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
    UNIQUE (patient_id, movement, last_ordinal, generation)
) STRICT, WITHOUT ROWID;
INSERT INTO models_with_ordinals
    SELECT *, max(training_recordings - 199, 1), training_recordings, 0, NULL FROM models;
DROP TABLE models;
ALTER TABLE models_with_ordinals RENAME TO models;

-- Jobs that delete. Their ids are never used again: a worker may hold one that was deleted.
CREATE TABLE jobs_of_four_kinds (
    job_id      INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        TEXT NOT NULL CHECK (kind IN ('convert', 'train', 'score', 'delete')),
    subject     TEXT NOT NULL,    -- what it is about, unique for its kind: asked for twice it is one job
    lane        TEXT NOT NULL,    -- whose work it is: lanes take turns
    position    INTEGER NOT NULL, -- start tag of fair queueing: the lowest is served first
    state       TEXT NOT NULL CHECK (state IN ('ready', 'delayed', 'leased', 'dead')),
    due_at      INTEGER NOT NULL, -- delayed: when to try again; leased: when the lease ends
    owner       TEXT,             -- the process that holds the lease
    fence       INTEGER NOT NULL DEFAULT 0, -- grows with each lease: a result under an older one is refused
    attempts    INTEGER NOT NULL DEFAULT 0,
    reason      TEXT,             -- of the last failure
    enqueued_at INTEGER NOT NULL,
    UNIQUE (kind, subject)
) STRICT;
INSERT INTO jobs_of_four_kinds
    SELECT job_id, kind, subject, lane, position, state, due_at, owner, fence, attempts, reason, enqueued_at FROM jobs;
DROP TABLE jobs;
ALTER TABLE jobs_of_four_kinds RENAME TO jobs;
CREATE INDEX jobs_to_serve ON jobs (kind, position, job_id) WHERE state = 'ready';
CREATE INDEX jobs_live ON jobs (kind, position) WHERE state IN ('ready', 'leased');
CREATE INDEX jobs_by_lane ON jobs (kind, lane, position) WHERE state IN ('ready', 'leased');
CREATE INDEX jobs_due ON jobs (due_at) WHERE state IN ('delayed', 'leased');
CREATE INDEX jobs_by_state ON jobs (kind, state, enqueued_at);
CREATE INDEX jobs_dead ON jobs (state, job_id) WHERE state = 'dead';
