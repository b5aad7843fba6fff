-- What changed lately, for whoever may have missed the hint of it.
CREATE INDEX recordings_by_update ON recordings (updated_at);
