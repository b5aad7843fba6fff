-- What keeps queries over the lake cheap: recordings of a patient, movement and month, compacted into one file.

-- A compacted file. `making` is on its way and may be half there; `replaced` stays until no query reads it any more.
CREATE TABLE lake_files (
    object_key text COLLATE "C" PRIMARY KEY,
    patient_id text COLLATE "C" NOT NULL,
    movement   text COLLATE "C" NOT NULL,
    year       bigint NOT NULL,
    month      bigint NOT NULL,
    state      text NOT NULL CHECK (state IN ('making', 'live', 'replaced')),
    bytes      bigint NOT NULL DEFAULT 0,
    samples    bigint NOT NULL DEFAULT 0,
    recordings bigint NOT NULL DEFAULT 0, -- as it was made
    gone       bigint NOT NULL DEFAULT 0, -- of those: how many are no more
    first_ts   bigint,                    -- of its samples; microseconds since 1970 in every database
    last_ts    bigint,
    changed_at timestamptz NOT NULL       -- when it came into its state
);
CREATE INDEX lake_files_live ON lake_files (patient_id, movement, year, month) WHERE state = 'live';
CREATE INDEX lake_files_to_rewrite ON lake_files (object_key) WHERE state = 'live' AND gone > 0;
CREATE INDEX lake_files_to_remove ON lake_files (changed_at) WHERE state <> 'live';

-- The compacted file that holds a recording's samples; none: they are in the recording's own file alone.
ALTER TABLE recordings ADD COLUMN lake_file text COLLATE "C";
CREATE INDEX recordings_not_compacted ON recordings (patient_id, movement, year, month) WHERE lake_file IS NULL;
CREATE INDEX recordings_by_lake_file ON recordings (lake_file) WHERE lake_file IS NOT NULL;

-- Whoever deletes a recording or takes it out of its compacted file: the file that still holds its samples is to be rewritten.
CREATE FUNCTION leave_lake_file() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE lake_files SET gone = gone + 1 WHERE object_key = OLD.lake_file;
    RETURN NULL;
END $$;
CREATE TRIGGER recordings_leave_lake_files AFTER DELETE ON recordings FOR EACH ROW WHEN (OLD.lake_file IS NOT NULL)
    EXECUTE FUNCTION leave_lake_file();

CREATE TRIGGER recordings_taken_out_of_lake_files AFTER UPDATE OF lake_file ON recordings FOR EACH ROW
    WHEN (OLD.lake_file IS NOT NULL AND NEW.lake_file IS NULL) EXECUTE FUNCTION leave_lake_file();

-- Who compacts: one process at a time.
CREATE TABLE lake_compaction (
    only_row   bigint PRIMARY KEY CHECK (only_row = 1),
    owner      text,
    fence      bigint NOT NULL, -- grows with each lease
    held_until timestamptz NOT NULL,
    next_at    timestamptz NOT NULL
);
INSERT INTO lake_compaction VALUES (1, NULL, 0, to_timestamp(0), to_timestamp(0));
