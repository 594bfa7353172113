-- One notice to one recipient. The row lives on after the notice was accepted, so that a repeated command is answered and not sent again.
CREATE TABLE delivery (
    delivery_key    TEXT PRIMARY KEY,  -- what the sender calls it; the left part of the Message-ID
    recovery        TEXT NOT NULL,     -- the case, or empty
    organisation    TEXT NOT NULL,
    kind            TEXT NOT NULL CHECK (kind IN ('requested', 'approval_needed', 'reset_needed', 'invitation', 'reminder', 'closed', 'incident')),
    recipient_name  TEXT NOT NULL,     -- personal; emptied when the notice was accepted
    recipient_email TEXT NOT NULL,     -- personal; masked when the notice was accepted
    fields          JSONB NOT NULL,    -- JSON: what the text needs, links included; emptied when the notice was accepted
    state           TEXT NOT NULL CHECK (state IN ('pending', 'accepted', 'failed')),
    attempts        INTEGER NOT NULL,
    claimed_until   TIMESTAMPTZ,              -- until then one worker has the sole right to send it; then it is due
    receipt         TEXT NOT NULL,     -- where it went: a file, or the mail server's answer
    problem         TEXT NOT NULL,     -- why the last try failed
    traceparent     TEXT NOT NULL,
    tracestate      TEXT NOT NULL,
    message         UUID NOT NULL,     -- the command's message id, which answers name as their cause
    created_at      TIMESTAMPTZ NOT NULL,
    accepted_at     TIMESTAMPTZ,
    CHECK ((state = 'accepted') = (accepted_at IS NOT NULL)),
    CHECK ((state = 'pending') = (claimed_until IS NOT NULL))
);
CREATE INDEX delivery_due ON delivery (claimed_until) WHERE state = 'pending';
CREATE INDEX delivery_of_recovery ON delivery (recovery, created_at);
