-- Accounts in recovery that are looked at closely, and what was seen so far (rule 5 of the procedure).
CREATE TABLE watch (
    lease           BLOB PRIMARY KEY,
    organisation    TEXT NOT NULL,
    account         TEXT NOT NULL,
    email           TEXT,               -- the address that we believe it holds: reads by address are cheaper
    seen_out_at     TEXT NOT NULL, -- when policy saw the account out
    out_version     INTEGER,             -- the placement's version then
    until           TEXT NOT NULL,
    newest_at       TEXT,        -- the newest read that told the factor
    newest_enrolled INTEGER,            -- and what it told
    absent_at       TEXT,        -- the first read that showed none: the baseline
    enrolled_at     TEXT,        -- the first read of the present run that counts for an enrolled factor
    log_enrolled    INTEGER,             -- the newest enrolment in the provider's log, epoch milliseconds of its clock
    log_removed     INTEGER,             -- the newest removal there
    proved_at       TEXT,        -- the read that decided
    proof           TEXT,               -- in words
    reported_at     TEXT,        -- when something was last reported
    next_read_at    TEXT,        -- NULL: no read can tell more
    ended_at        TEXT,        -- unwatched
    version         INTEGER NOT NULL,    -- grows with each change of what was seen or asked
    traceparent     TEXT NOT NULL,
    tracestate      TEXT NOT NULL,
    message         BLOB NOT NULL,      -- the newest command, which reports name as their cause
    CHECK ((newest_at IS NULL) = (newest_enrolled IS NULL)),
    CHECK ((proved_at IS NULL) = (proof IS NULL)),
    CHECK (next_read_at IS NULL OR (ended_at IS NULL AND proved_at IS NULL))
) STRICT;
CREATE INDEX watch_due ON watch (organisation, next_read_at) WHERE next_read_at IS NOT NULL;
-- Who looks, for each organisation, and how far the provider's log was read.
CREATE TABLE watcher (
    organisation    TEXT PRIMARY KEY,
    claimed_by      BLOB NOT NULL,
    claimed_until   TEXT NOT NULL,
    log_cursor      TEXT,
    log_read_at     TEXT         -- a cursor that was not used for long is not used again
) STRICT;
-- What the provider's log said of factors lately, whether the account was watched by then or not.
CREATE TABLE logged_factor (
    organisation    TEXT NOT NULL,
    account         TEXT NOT NULL,
    event           TEXT NOT NULL,      -- the provider's id of the event
    enrolled        INTEGER NOT NULL,   -- set up, or taken away
    happened_ms     INTEGER NOT NULL,    -- epoch milliseconds of the provider's clock
    received_at     TEXT NOT NULL,
    PRIMARY KEY (organisation, account, event)
) STRICT;
