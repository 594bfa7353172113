-- Patrol's own copy of what policy said about its leases.
CREATE TABLE lease_copy (
    id              UUID PRIMARY KEY,
    organisation    TEXT NOT NULL,
    account         TEXT NOT NULL,
    version         BIGINT NOT NULL,  -- the lease's version; lower ones are old news
    open            BOOLEAN NOT NULL,
    ended           TEXT NOT NULL,     -- how it ended; empty while open
    opened_at       TIMESTAMPTZ,
    due_at          TIMESTAMPTZ,
    closed_at       TIMESTAMPTZ,
    ever_out        BOOLEAN NOT NULL,
    first_seen_out  TIMESTAMPTZ,              -- by patrol's own reads, since the last that did not show it out
    read_at         TIMESTAMPTZ,              -- the last read that showed anything
    next_read_at    TIMESTAMPTZ,              -- NULL: no read is needed any more
    tail_reads      BIGINT NOT NULL,  -- reads made since the end
    traceparent     TEXT NOT NULL,
    tracestate      TEXT NOT NULL
);
CREATE INDEX lease_copy_due ON lease_copy (organisation, next_read_at) WHERE next_read_at IS NOT NULL;
CREATE INDEX lease_copy_open ON lease_copy (organisation, account) WHERE open;
CREATE INDEX lease_copy_ended ON lease_copy (organisation, closed_at) WHERE NOT open;

-- What a person should know, as long as it is so.
CREATE TABLE finding (
    organisation    TEXT NOT NULL,
    account         TEXT NOT NULL,
    kind            TEXT NOT NULL CHECK (kind IN ('overdue', 'out_after_close', 'stray', 'unreadable')),
    lease           UUID NOT NULL,
    incident        UUID NOT NULL,
    told            BOOLEAN NOT NULL, -- whether people were told by that incident
    since           TIMESTAMPTZ NOT NULL,
    sentence        TEXT NOT NULL,
    PRIMARY KEY (organisation, lease, kind)
);

-- The last patrol of each organisation.
CREATE TABLE patrol (
    organisation    TEXT PRIMARY KEY,
    patrolled_at    TIMESTAMPTZ NOT NULL,
    read_back       BIGINT NOT NULL,
    seen_out        BIGINT NOT NULL,
    overdue         BIGINT NOT NULL
);
