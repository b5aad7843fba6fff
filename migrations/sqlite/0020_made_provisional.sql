-- A provisional model is one, also when an operator has taken it back, which is its verdict then.
ALTER TABLE models ADD COLUMN made_provisional INTEGER NOT NULL DEFAULT 0; -- before it was taken back
ALTER TABLE models ADD COLUMN is_provisional INTEGER NOT NULL GENERATED ALWAYS AS (made_provisional OR verdict = 'provisional') VIRTUAL;
