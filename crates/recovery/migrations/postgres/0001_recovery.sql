-- One row for each case. What the saga knows is in its own row; here is what is asked for in other ways.
CREATE TABLE recovery (
    -- Also the saga's id and the lease's.
    id UUID NOT NULL PRIMARY KEY,
    organisation TEXT NOT NULL,
    -- The provider's id of the account.
    account TEXT NOT NULL,
    -- The person who asked.
    requester TEXT NOT NULL,
    -- The requester's own key for asking once; NULL when none was given.
    idempotency_key TEXT,
    -- The recovery that ended as not lent, whose proof was carried over.
    prefilled_from UUID,
    requested_at TIMESTAMPTZ NOT NULL,
    tier TEXT NOT NULL CHECK (tier IN ('normal', 'high')),
    -- What the diagnosis found; with the next five columns what the grant repeats.
    diagnosis TEXT NOT NULL,
    -- The home policy that the diagnosis saw.
    home TEXT NOT NULL,
    -- The factor that the diagnosis saw.
    factor TEXT NOT NULL CHECK (factor IN ('enrolled', 'absent', 'unknown')),
    -- Requests for this account shortly before this one.
    recent_requests BIGINT NOT NULL,
    -- Whether an earlier recovery of the account was repudiated.
    repudiated_before BOOLEAN NOT NULL,
    -- SHA-256 of the diagnosis that the approvers saw, in hexadecimal.
    diagnosis_hash TEXT NOT NULL,
    -- SHA-256 of the token in the links "this was not me".
    not_me_hash BYTEA NOT NULL UNIQUE,
    is_open BOOLEAN NOT NULL,
    closed_at TIMESTAMPTZ,
    -- How it ended, as code and as sentence for the staff; NULL while it is open.
    outcome TEXT,
    outcome_sentence TEXT,
    -- When the owner said "this was not me", also after the end.
    repudiated_at TIMESTAMPTZ,
    CHECK (is_open = (closed_at IS NULL)),
    CHECK ((closed_at IS NULL) = (outcome IS NULL) AND (outcome IS NULL) = (outcome_sentence IS NULL))
);

-- One open recovery an account.
CREATE UNIQUE INDEX recovery_one_open ON recovery (organisation, account) WHERE is_open;
-- Asking twice with one key opens one recovery.
CREATE UNIQUE INDEX recovery_key ON recovery (organisation, requester, idempotency_key) WHERE idempotency_key IS NOT NULL;
-- Pages, newest first: ids sort by time of birth.
CREATE INDEX recovery_page ON recovery (organisation, id);
CREATE INDEX recovery_open_page ON recovery (organisation, id) WHERE is_open;
-- What was asked for an account before.
CREATE INDEX recovery_history ON recovery (organisation, account, requested_at);

-- Personal data of a case; may be erased. The case stays.
CREATE TABLE recovery_personal (
    recovery UUID NOT NULL PRIMARY KEY,
    -- The account's address at the diagnosis; NULL where it was never known.
    email TEXT,
    -- The account's name.
    name TEXT NOT NULL,
    -- Why, in the requester's words.
    reason TEXT NOT NULL
);

-- What persons said about a case: evidence, reasons. May be erased.
CREATE TABLE recovery_text (
    recovery UUID NOT NULL,
    -- What it belongs to, for example proof.call_back or vote.anna.
    subject TEXT NOT NULL,
    text TEXT NOT NULL,
    said_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (recovery, subject)
);
