-- The exposure cap: one row an organisation, locked by whoever takes or gives back.
CREATE TABLE slot_counter (
    organisation TEXT NOT NULL PRIMARY KEY,
    -- Slots that recoveries hold. Never more than the rows of `slot` that are taken; recounted by case repair.
    held INTEGER NOT NULL CHECK (held >= 0),
    -- Accounts that are out without a case of ours: strays, adopted and reopened leases. They count.
    outside INTEGER NOT NULL CHECK (outside >= 0),
    -- How many may be out at once; at least 1.
    cap INTEGER NOT NULL CHECK (cap >= 1),
    -- When cap and outside were last learned; NULL before the first time.
    learned_at TEXT
) STRICT;

-- Who holds a slot, and who waits for one, in order of asking.
CREATE TABLE slot (
    recovery BLOB NOT NULL PRIMARY KEY,
    organisation TEXT NOT NULL,
    asked_at TEXT NOT NULL,
    -- NULL while it waits.
    taken_at TEXT
) STRICT;

CREATE INDEX slot_line ON slot (organisation, asked_at, recovery) WHERE taken_at IS NULL;
