-- Messages that were decided and are not yet confirmed by the broker. Nearly empty while all is well.
CREATE TABLE outbox (
    -- The sender's number: rises for ever, with gaps.
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The message's id.
    id UUID NOT NULL UNIQUE,
    -- Routing key: <service>.<command|event>.<name>.v1.
    kind TEXT NOT NULL,
    -- The tenant that it is about.
    organisation TEXT NOT NULL,
    -- The recovery or lease that it belongs to.
    correlation UUID NOT NULL,
    -- The message that led to it.
    causation UUID,
    -- Same key, same effect.
    idempotency_key TEXT NOT NULL,
    -- The version of what it is about; 0 where there is none.
    entity_version BIGINT NOT NULL,
    -- W3C trace context.
    traceparent TEXT NOT NULL,
    tracestate TEXT NOT NULL,
    -- When it was decided.
    at TIMESTAMPTZ NOT NULL,
    -- After this moment it must not take effect.
    expires_at TIMESTAMPTZ,
    -- The protobuf message.
    payload BYTEA NOT NULL,
    -- Until then somebody is publishing it; afterwards any relay may.
    claimed_until TIMESTAMPTZ NOT NULL,
    -- Why it waits for a person: no queue takes it, or it cannot be published as it is.
    parked_reason TEXT
);
