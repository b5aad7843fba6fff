-- The durable queue. A row is work that is not done; a done job has no row, a dead one keeps its reason.
-- Times are microseconds since 1970-01-01 UTC.

CREATE TABLE jobs (
    job_id      INTEGER PRIMARY KEY,
    kind        TEXT NOT NULL CHECK (kind IN ('convert', 'train', 'score')),
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
CREATE INDEX jobs_to_serve ON jobs (kind, position, job_id) WHERE state = 'ready';
CREATE INDEX jobs_live ON jobs (kind, position) WHERE state IN ('ready', 'leased');
CREATE INDEX jobs_by_lane ON jobs (kind, lane, position) WHERE state IN ('ready', 'leased');
CREATE INDEX jobs_due ON jobs (due_at) WHERE state IN ('delayed', 'leased');
CREATE INDEX jobs_by_age ON jobs (kind, enqueued_at) WHERE state <> 'dead';
