-- Patrol's own copy of what policy said about its leases.
CREATE TABLE lease_copy (
    id              BLOB PRIMARY KEY,
    organisation    TEXT NOT NULL,
    account         TEXT NOT NULL,
    version         INTEGER NOT NULL,  -- the lease's version; lower ones are old news
    open            INTEGER NOT NULL CHECK (open IN (0, 1)),
    ended           TEXT NOT NULL,     -- how it ended; empty while open
    opened_at       TEXT,
    due_at          TEXT,
    closed_at       TEXT,
    ever_out        INTEGER NOT NULL CHECK (ever_out IN (0, 1)),
    first_seen_out  TEXT,              -- by patrol's own reads, since the last that did not show it out
    read_at         TEXT,              -- the last read that showed anything
    next_read_at    TEXT,              -- NULL: no read is needed any more
    tail_reads      INTEGER NOT NULL,  -- reads made since the end
    traceparent     TEXT NOT NULL,
    tracestate      TEXT NOT NULL
) STRICT;
CREATE INDEX lease_copy_due ON lease_copy (organisation, next_read_at) WHERE next_read_at IS NOT NULL;
CREATE INDEX lease_copy_open ON lease_copy (organisation, account) WHERE open;
CREATE INDEX lease_copy_ended ON lease_copy (organisation, closed_at) WHERE NOT open;

-- What a person should know, as long as it is so.
CREATE TABLE finding (
    organisation    TEXT NOT NULL,
    account         TEXT NOT NULL,
    kind            TEXT NOT NULL CHECK (kind IN ('overdue', 'out_after_close', 'stray', 'unreadable')),
    lease           BLOB NOT NULL,
    incident        BLOB NOT NULL,
    told            INTEGER NOT NULL CHECK (told IN (0, 1)), -- whether people were told by that incident
    since           TEXT NOT NULL,
    sentence        TEXT NOT NULL,
    PRIMARY KEY (organisation, lease, kind)
) STRICT;

-- The last patrol of each organisation.
CREATE TABLE patrol (
    organisation    TEXT PRIMARY KEY,
    patrolled_at    TEXT NOT NULL,
    read_back       INTEGER NOT NULL,
    seen_out        INTEGER NOT NULL,
    overdue         INTEGER NOT NULL
) STRICT;
