-- Until then a report that was under way at a deletion may be put; only that is looked for then.
ALTER TABLE deletions ADD COLUMN report_sweep_at INTEGER NOT NULL DEFAULT 0;

-- Compaction for the sake of deletions: not before then.
ALTER TABLE lake_compaction ADD COLUMN rewrite_at INTEGER NOT NULL DEFAULT 0;

-- Nobody takes a recording out of its compacted file but by deleting it.
DROP TRIGGER recordings_taken_out_of_lake_files;
