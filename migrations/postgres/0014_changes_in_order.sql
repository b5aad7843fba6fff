-- What changed lately, page by page: many recordings change at one time, and their ids tell them apart.
CREATE INDEX recordings_by_change ON recordings (updated_at, test_event_id);
DROP INDEX recordings_by_update;
