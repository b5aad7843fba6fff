-- The durable queue. A row is work that is not done; a done job has no row, a dead one keeps its reason.
-- Rows change several times and go: they are vacuumed by how many did, not by how large the table is.

CREATE TABLE jobs (
    job_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text COLLATE "C" NOT NULL CHECK (kind IN ('convert', 'train', 'score')),
    subject     uuid NOT NULL,             -- what it is about, unique for its kind: asked for twice it is one job
    lane        text COLLATE "C" NOT NULL, -- whose work it is: lanes take turns
    position    bigint NOT NULL,           -- start tag of fair queueing: the lowest is served first
    state       text COLLATE "C" NOT NULL CHECK (state IN ('ready', 'delayed', 'leased', 'dead')),
    due_at      timestamptz NOT NULL,      -- delayed: when to try again; leased: when the lease ends
    owner       text,                      -- the process that holds the lease
    fence       bigint NOT NULL DEFAULT 0, -- grows with each lease: a result under an older one is refused
    attempts    bigint NOT NULL DEFAULT 0,
    reason      text,                      -- of the last failure
    enqueued_at timestamptz NOT NULL,
    UNIQUE (kind, subject)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_analyze_scale_factor = 0.1, autovacuum_analyze_threshold = 1000);
CREATE INDEX jobs_to_serve ON jobs (kind, position, job_id) WHERE state = 'ready';
CREATE INDEX jobs_live ON jobs (kind, position) WHERE state IN ('ready', 'leased');
CREATE INDEX jobs_by_lane ON jobs (kind, lane, position) WHERE state IN ('ready', 'leased');
CREATE INDEX jobs_due ON jobs (due_at) WHERE state IN ('delayed', 'leased');
