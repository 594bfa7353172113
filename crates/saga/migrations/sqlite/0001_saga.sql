-- One row for each saga, open or closed. Narrow and hot: nothing here is for reports; a service keeps its own tables for those.
CREATE TABLE saga (
    id          BLOB    NOT NULL PRIMARY KEY,
    -- The definition that the saga began with. A program that does not have it leaves the row alone.
    name        TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    -- The present step; NULL when the saga is closed.
    step        TEXT,
    -- All that the saga knows, as JSON.
    data        TEXT    NOT NULL,
    -- When the present step was entered.
    entered_at  TEXT    NOT NULL,
    -- When the step's commands were last asked, and how often they were asked again.
    asked_at    TEXT    NOT NULL,
    asked_again INTEGER NOT NULL,
    -- How many of the step's reminders were sent.
    reminded    INTEGER NOT NULL,
    -- When time next means something to the saga: the timer. NULL when only an input does.
    due_at      TEXT,
    -- The W3C trace context of the request that began it; every step's span is a child of it.
    traceparent TEXT    NOT NULL,
    tracestate  TEXT    NOT NULL,
    -- Rises with each write, so that no two writers build on the same state.
    row_version INTEGER NOT NULL,
    created_at  TEXT    NOT NULL,
    -- When the last step was left.
    closed_at   TEXT,
    CHECK ((step IS NULL) = (closed_at IS NOT NULL)),
    CHECK (step IS NOT NULL OR due_at IS NULL)
) STRICT;

CREATE INDEX saga_due ON saga (due_at) WHERE due_at IS NOT NULL;
