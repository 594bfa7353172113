-- Reading an organisation's accounts through, over and over: how far the present sweep is, and what the last complete one found.
CREATE TABLE sweep (
    organisation     TEXT PRIMARY KEY,
    number           INTEGER NOT NULL,  -- of the present or last sweep; 0 before the first
    stage            TEXT NOT NULL CHECK (stage IN ('resting', 'paging', 'missing')),
    page_cursor      TEXT,              -- the next page while paging; NULL is the first
    after_account    TEXT NOT NULL,     -- while looking again for missing accounts: the last one looked at
    begun_at         TEXT NOT NULL,
    due_at           TEXT NOT NULL,     -- when the next one begins
    completed_at     TEXT,
    accounts         INTEGER NOT NULL,  -- managed accounts after the last complete sweep
    claimed_by       BLOB NOT NULL,     -- the process that sweeps
    claimed_until    TEXT NOT NULL
) STRICT;
-- Since when a provider has not answered.
CREATE TABLE silence (
    organisation     TEXT PRIMARY KEY,
    since            TEXT NOT NULL
) STRICT;
