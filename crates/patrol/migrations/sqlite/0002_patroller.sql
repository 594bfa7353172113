-- Which process patrols, for each organisation, and when the next patrol is due.
CREATE TABLE patroller (
    organisation    TEXT PRIMARY KEY,
    claimed_by      BLOB NOT NULL,
    claimed_until   TEXT NOT NULL,
    due_at          TEXT NOT NULL
) STRICT;
