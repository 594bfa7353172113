-- Leases. The row is committed before the account is moved, and is kept for good.
CREATE TABLE lease (
    -- The recovery's id, or an own one where there is no recovery.
    id BLOB NOT NULL PRIMARY KEY,
    -- The tenant.
    organisation TEXT NOT NULL,
    -- The provider's id of the account.
    account TEXT NOT NULL,
    -- How the lease came to be.
    origin TEXT NOT NULL CHECK (origin IN ('lend', 'adopted', 'reopened')),
    -- Grows by one with each change.
    version INTEGER NOT NULL,
    -- Where it stands.
    state TEXT NOT NULL CHECK (state IN ('opening', 'active', 'closing', 'settling', 'closed')),
    -- The policy that the account must return to.
    home TEXT NOT NULL,
    -- The provider's version of the placement at home, before the lend.
    home_version INTEGER,
    -- The policy that the account was lent to.
    recovery_policy TEXT NOT NULL,
    -- The factor as read before the lend.
    factor_at_lend TEXT NOT NULL CHECK (factor_at_lend IN ('enrolled', 'absent', 'unknown')),
    opened_at TEXT NOT NULL,
    -- When policy ends it by itself.
    due_at TEXT NOT NULL,
    -- From then on a lend would leave less than the useful window.
    lends_until TEXT NOT NULL,
    -- The limits that it opened with (durations in microseconds).
    terms TEXT NOT NULL,
    -- When the newest read that counted began.
    newest_begun_at TEXT,
    -- The first read that showed the account out, the newest such decision, its version and policy.
    out_first_at TEXT,
    out_last_at TEXT,
    out_version INTEGER,
    out_policy TEXT,
    -- Reads that agree on one protecting policy: which, its version, and when the first of them began.
    run_policy TEXT,
    run_version INTEGER,
    run_first_begun_at TEXT,
    -- The newest read that showed an end, and its version.
    back_at TEXT,
    back_version INTEGER,
    -- When each of two different calls first missed the account.
    missed_search_at TEXT,
    missed_itself_at TEXT,
    -- Why it is being returned, and since when.
    return_reason TEXT,
    returning_at TEXT,
    -- When the next return is to be tried, if none is ready or on its way.
    return_at TEXT,
    failed_returns INTEGER NOT NULL,
    -- The number of the newest attempt.
    attempts INTEGER NOT NULL,
    -- An attempt was once of unknown outcome.
    was_unknown INTEGER NOT NULL,
    -- Two persons released it.
    released INTEGER NOT NULL,
    -- It was open past due_at.
    overdue INTEGER NOT NULL,
    -- The account is disabled at the provider.
    contained INTEGER NOT NULL,
    -- That it is overdue for too long was told.
    overdue_told INTEGER NOT NULL,
    -- Reads since the last write or news.
    reads INTEGER NOT NULL,
    -- Work queue: when the account is to be read next.
    next_read_at TEXT,
    -- Work queue: when time itself changes something.
    tick_at TEXT,
    -- When, how and (for protected_elsewhere) where it ended; why it was never lent, where policy refused it.
    ended_at TEXT,
    end_kind TEXT CHECK (end_kind IN ('home', 'protected_elsewhere', 'gone', 'released', 'never_lent')),
    end_policy TEXT,
    refusal TEXT CHECK (refusal IN ('changed', 'busy', 'expired', 'cap', 'grant', 'draining')),
    -- The trace that it belongs to (W3C).
    traceparent TEXT NOT NULL,
    tracestate TEXT NOT NULL,
    -- The message that told of the opening: no lend before the broker confirmed it.
    opened_message BLOB,
    -- The first of the two persons who release it, and why.
    release_by TEXT,
    release_reason TEXT,
    -- When the factor's removal was asked of the provider: asked once.
    reset_at TEXT,
    -- Rule 7: a home is never the recovery policy.
    CHECK (home <> recovery_policy),
    CHECK ((state = 'closed') = (ended_at IS NOT NULL)),
    CHECK ((ended_at IS NULL) = (end_kind IS NULL)),
    CHECK ((end_policy IS NOT NULL) = (end_kind IS NOT NULL AND end_kind = 'protected_elsewhere')),
    CHECK (refusal IS NULL OR end_kind = 'never_lent')
) STRICT;
-- Rule 9: one open lease an account.
CREATE UNIQUE INDEX lease_open ON lease (organisation, account) WHERE state <> 'closed';
-- Released accounts, and an account's earlier leases.
CREATE INDEX lease_account ON lease (organisation, account, id);
-- Listings.
CREATE INDEX lease_listing ON lease (organisation, id);
CREATE INDEX lease_listing_open ON lease (organisation, id) WHERE state <> 'closed';
-- Overdue first, and exposure.
CREATE INDEX lease_due ON lease (organisation, due_at) WHERE state <> 'closed';
-- Ends since a moment, for the file outside the database.
CREATE INDEX lease_ended ON lease (ended_at) WHERE ended_at IS NOT NULL;
-- Work queues.
CREATE INDEX lease_next_read ON lease (organisation, next_read_at) WHERE next_read_at IS NOT NULL;
CREATE INDEX lease_tick ON lease (tick_at) WHERE tick_at IS NOT NULL;

-- Attempts: one write at the provider under a lease.
CREATE TABLE attempt (
    lease_id BLOB NOT NULL REFERENCES lease (id),
    -- Counts within the lease, from 1.
    number INTEGER NOT NULL,
    -- The tenant, for the work queue.
    organisation TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('lend', 'return')),
    state TEXT NOT NULL CHECK (state IN ('ready', 'sent', 'taken', 'not_taken', 'unknown', 'void')),
    -- Not to be sent before.
    not_before TEXT NOT NULL,
    -- Lends: not to be sent at or after.
    not_after TEXT,
    -- The worker that may send it.
    claim_token BLOB,
    -- Until when it may: the last possible send.
    claimed_until TEXT,
    -- The provider accepted it. Proves nothing.
    accepted INTEGER NOT NULL,
    -- The address that the move named, read immediately before, and the policy it led to.
    address TEXT,
    destination TEXT,
    sent_at TEXT,
    answered_at TEXT,
    -- The provider's name for the work, where it does it later.
    task TEXT,
    -- What was answered, for people.
    detail TEXT,
    -- Nobody else was found at the address after the move.
    holder_checked INTEGER NOT NULL,
    PRIMARY KEY (lease_id, number),
    CHECK (kind = 'lend' OR not_after IS NULL),
    CHECK (state NOT IN ('sent', 'unknown', 'taken') OR (sent_at IS NOT NULL AND claimed_until IS NOT NULL AND address IS NOT NULL))
) STRICT;
-- Work queue.
CREATE INDEX attempt_ready ON attempt (organisation, kind, not_before) WHERE state = 'ready';

-- Grants, each used once.
CREATE TABLE grant_used (
    -- The lease that was opened with it.
    lease_id BLOB NOT NULL PRIMARY KEY REFERENCES lease (id),
    organisation TEXT NOT NULL,
    -- SHA-256 of the signed bytes.
    digest BLOB NOT NULL UNIQUE,
    -- Recovery's key.
    kid TEXT NOT NULL,
    -- The grant as signed (JSON), and the signature.
    signed BLOB NOT NULL,
    signature BLOB NOT NULL,
    used_at TEXT NOT NULL
) STRICT;

-- What policy knows of each organisation.
CREATE TABLE organisation_state (
    organisation TEXT NOT NULL PRIMARY KEY,
    -- No new lends; who said so, why and when.
    draining INTEGER NOT NULL,
    drain_by TEXT,
    drain_reason TEXT,
    drain_at TEXT,
    -- Rule 3: one lend, and one return, showed a later version.
    lend_seen INTEGER NOT NULL,
    return_seen INTEGER NOT NULL,
    -- The hard cap's counter.
    open_leases INTEGER NOT NULL,
    -- Accounts there are, and when they were counted.
    accounts INTEGER,
    counted_at TEXT,
    -- Since when the provider has not answered.
    unreachable_since TEXT
) STRICT;

-- What needs a person's eye.
CREATE TABLE incident (
    id BLOB NOT NULL PRIMARY KEY,
    organisation TEXT NOT NULL,
    account TEXT,
    lease_id BLOB,
    -- Stable kind.
    kind TEXT NOT NULL,
    -- One incident for one matter.
    matter TEXT NOT NULL UNIQUE,
    sentence TEXT NOT NULL,
    next_action TEXT NOT NULL,
    next_at TEXT,
    safe_action TEXT NOT NULL,
    opened_at TEXT NOT NULL
) STRICT;

-- Lends that came while their organisation's provider did not answer.
CREATE TABLE waiting_lend (
    lease_id BLOB NOT NULL PRIMARY KEY,
    organisation TEXT NOT NULL,
    -- The command as it came.
    command BLOB NOT NULL,
    message BLOB NOT NULL,
    traceparent TEXT NOT NULL,
    tracestate TEXT NOT NULL,
    received_at TEXT NOT NULL
) STRICT;
CREATE INDEX waiting_lend_queue ON waiting_lend (organisation, received_at);

-- Addresses at which somebody else was found after a move: no lends to them.
CREATE TABLE quarantine (
    organisation TEXT NOT NULL,
    address TEXT NOT NULL,
    since TEXT NOT NULL,
    PRIMARY KEY (organisation, address)
) STRICT;
