-- Which process patrols, for each organisation, and when the next patrol is due.
CREATE TABLE patroller (
    organisation    TEXT PRIMARY KEY,
    claimed_by      UUID NOT NULL,
    claimed_until   TIMESTAMPTZ NOT NULL,
    due_at          TIMESTAMPTZ NOT NULL
);
