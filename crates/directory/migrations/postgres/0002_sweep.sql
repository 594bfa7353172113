-- Reading an organisation's accounts through, over and over: how far the present sweep is, and what the last complete one found.
CREATE TABLE sweep (
    organisation     TEXT PRIMARY KEY,
    number           BIGINT NOT NULL,   -- of the present or last sweep; 0 before the first
    stage            TEXT NOT NULL CHECK (stage IN ('resting', 'paging', 'missing')),
    page_cursor      TEXT,              -- the next page while paging; NULL is the first
    after_account    TEXT NOT NULL,     -- while looking again for missing accounts: the last one looked at
    begun_at         TIMESTAMPTZ NOT NULL,
    due_at           TIMESTAMPTZ NOT NULL, -- when the next one begins
    completed_at     TIMESTAMPTZ,
    accounts         BIGINT NOT NULL,   -- managed accounts after the last complete sweep
    claimed_by       UUID NOT NULL,     -- the process that sweeps
    claimed_until    TIMESTAMPTZ NOT NULL
);
-- Since when a provider has not answered.
CREATE TABLE silence (
    organisation     TEXT PRIMARY KEY,
    since            TIMESTAMPTZ NOT NULL
);
