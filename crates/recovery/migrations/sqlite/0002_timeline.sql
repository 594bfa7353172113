-- What happened in a case, for people. No personal data besides the ids of persons who acted.
CREATE TABLE timeline (
    -- Grows within a recovery, because the saga's row is locked while its entries are written.
    number INTEGER PRIMARY KEY,
    recovery BLOB NOT NULL,
    at TEXT NOT NULL,
    -- Stable, for example proof-attached.
    kind TEXT NOT NULL,
    sentence TEXT NOT NULL,
    -- The person who acted; empty when Homeward did.
    actor TEXT NOT NULL
) STRICT;

CREATE INDEX timeline_of ON timeline (recovery, number);
