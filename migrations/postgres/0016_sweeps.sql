-- Until then a report that was under way at a deletion may be put; only that is looked for then.
ALTER TABLE deletions ADD COLUMN report_sweep_at timestamptz NOT NULL DEFAULT 'epoch';
