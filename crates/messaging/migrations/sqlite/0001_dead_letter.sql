-- Messages that no consumer could handle; used where the in-process broker carries them.
CREATE TABLE dead_letter (
    -- The queue that it died on.
    queue TEXT NOT NULL,
    -- The message's id.
    id BLOB NOT NULL,
    -- Why it died.
    reason TEXT NOT NULL,
    -- When it died.
    since TEXT NOT NULL,
    -- The message as in `outbox`.
    kind TEXT NOT NULL,
    organisation TEXT NOT NULL,
    correlation BLOB NOT NULL,
    causation BLOB,
    idempotency_key TEXT NOT NULL,
    sender TEXT NOT NULL,
    sender_number INTEGER NOT NULL,
    entity_version INTEGER NOT NULL,
    traceparent TEXT NOT NULL,
    tracestate TEXT NOT NULL,
    at TEXT NOT NULL,
    expires_at TEXT,
    payload BLOB NOT NULL,
    PRIMARY KEY (queue, id)
) STRICT;
