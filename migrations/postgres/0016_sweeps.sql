-- Until then a report that was under way at a deletion may be put; only that is looked for then.
ALTER TABLE deletions ADD COLUMN report_sweep_at timestamptz NOT NULL DEFAULT 'epoch';

-- Compaction for the sake of deletions: not before then.
ALTER TABLE lake_compaction ADD COLUMN rewrite_at timestamptz NOT NULL DEFAULT 'epoch';

-- Nobody takes a recording out of its compacted file but by deleting it.
DROP TRIGGER recordings_taken_out_of_lake_files ON recordings;
