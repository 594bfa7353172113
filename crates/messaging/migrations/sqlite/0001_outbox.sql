-- Messages that were decided and are not yet confirmed by the broker. Nearly empty while all is well.
CREATE TABLE outbox (
    -- The sender's number: rises for ever, with gaps.
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The message's id.
    id BLOB NOT NULL UNIQUE,
    -- Routing key: <service>.<command|event>.<name>.v1.
    kind TEXT NOT NULL,
    -- The tenant that it is about.
    organisation TEXT NOT NULL,
    -- The recovery or lease that it belongs to.
    correlation BLOB NOT NULL,
    -- The message that led to it.
    causation BLOB,
    -- Same key, same effect.
    idempotency_key TEXT NOT NULL,
    -- The version of what it is about; 0 where there is none.
    entity_version INTEGER NOT NULL,
    -- W3C trace context.
    traceparent TEXT NOT NULL,
    tracestate TEXT NOT NULL,
    -- When it was decided.
    at TEXT NOT NULL,
    -- After this moment it must not take effect.
    expires_at TEXT,
    -- The protobuf message.
    payload BLOB NOT NULL,
    -- Until then somebody is publishing it; afterwards any relay may.
    claimed_until TEXT NOT NULL,
    -- Why it waits for a person: no queue takes it, or it cannot be published as it is.
    parked_reason TEXT
) STRICT;
