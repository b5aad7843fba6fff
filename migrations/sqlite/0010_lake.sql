-- What keeps queries over the lake cheap: recordings of a patient, movement and month, compacted into one file. Times are
-- microseconds since 1970-01-01 UTC.

-- A compacted file. `making` is on its way and may be half there; `replaced` stays until no query reads it any more.
CREATE TABLE lake_files (
    object_key TEXT PRIMARY KEY,
    patient_id TEXT NOT NULL,
    movement   TEXT NOT NULL,
    year       INTEGER NOT NULL,
    month      INTEGER NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('making', 'live', 'replaced')),
    bytes      INTEGER NOT NULL DEFAULT 0,
    samples    INTEGER NOT NULL DEFAULT 0,
    recordings INTEGER NOT NULL DEFAULT 0, -- as it was made
    gone       INTEGER NOT NULL DEFAULT 0, -- of those: how many are no more
    first_ts   INTEGER,                    -- of its samples; microseconds since 1970 in every database
    last_ts    INTEGER,
    changed_at INTEGER NOT NULL            -- when it came into its state
) STRICT, WITHOUT ROWID;
CREATE INDEX lake_files_live ON lake_files (patient_id, movement, year, month) WHERE state = 'live';
CREATE INDEX lake_files_to_rewrite ON lake_files (object_key) WHERE state = 'live' AND gone > 0;
CREATE INDEX lake_files_to_remove ON lake_files (changed_at) WHERE state <> 'live';

-- The compacted file that holds a recording's samples; none: they are in the recording's own file alone.
ALTER TABLE recordings ADD COLUMN lake_file TEXT;
CREATE INDEX recordings_not_compacted ON recordings (patient_id, movement, year, month) WHERE lake_file IS NULL;
CREATE INDEX recordings_by_lake_file ON recordings (lake_file) WHERE lake_file IS NOT NULL;

-- Whoever deletes a recording or takes it out of its compacted file: the file that still holds its samples is to be rewritten.
CREATE TRIGGER recordings_leave_lake_files AFTER DELETE ON recordings WHEN OLD.lake_file IS NOT NULL
BEGIN
    UPDATE lake_files SET gone = gone + 1 WHERE object_key = OLD.lake_file;
END;

CREATE TRIGGER recordings_taken_out_of_lake_files AFTER UPDATE OF lake_file ON recordings
    WHEN OLD.lake_file IS NOT NULL AND NEW.lake_file IS NULL
BEGIN
    UPDATE lake_files SET gone = gone + 1 WHERE object_key = OLD.lake_file;
END;

-- Who compacts: one process at a time.
CREATE TABLE lake_compaction (
    only_row   INTEGER PRIMARY KEY CHECK (only_row = 1),
    owner      TEXT,
    fence      INTEGER NOT NULL, -- grows with each lease
    held_until INTEGER NOT NULL,
    next_at    INTEGER NOT NULL
) STRICT;
INSERT INTO lake_compaction VALUES (1, NULL, 0, 0, 0);
