-- Messages that no consumer could handle; used where the in-process broker carries them.
CREATE TABLE dead_letter (
    -- The queue that it died on.
    queue TEXT NOT NULL,
    -- The message's id.
    id UUID NOT NULL,
    -- Why it died.
    reason TEXT NOT NULL,
    -- When it died.
    since TIMESTAMPTZ NOT NULL,
    -- The message as in `outbox`.
    kind TEXT NOT NULL,
    organisation TEXT NOT NULL,
    correlation UUID NOT NULL,
    causation UUID,
    idempotency_key TEXT NOT NULL,
    sender TEXT NOT NULL,
    sender_number BIGINT NOT NULL,
    entity_version BIGINT NOT NULL,
    traceparent TEXT NOT NULL,
    tracestate TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ,
    payload BYTEA NOT NULL,
    PRIMARY KEY (queue, id)
);
