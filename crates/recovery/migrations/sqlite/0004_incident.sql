-- Whatever needs a person's eye: one object with the next automatic action and a safe action.
CREATE TABLE incident (
    id BLOB NOT NULL PRIMARY KEY,
    -- What it is about, so that a repeat opens no second one.
    key TEXT NOT NULL UNIQUE,
    organisation TEXT NOT NULL,
    -- The case; NULL when it is about none.
    recovery BLOB,
    -- The account; empty when it is about none.
    account TEXT NOT NULL,
    -- Stable, for example repudiated.
    kind TEXT NOT NULL,
    sentence TEXT NOT NULL,
    -- What Homeward does next by itself; empty when nothing.
    next_action TEXT NOT NULL,
    next_at TEXT,
    -- What a person can safely do.
    safe_action TEXT NOT NULL,
    opened_at TEXT NOT NULL
) STRICT;

CREATE INDEX incident_page ON incident (organisation, id);

-- Accounts that are to be disabled because their owner said "this was not me". Asked again until policy answers.
CREATE TABLE containment (
    recovery BLOB NOT NULL PRIMARY KEY,
    organisation TEXT NOT NULL,
    account TEXT NOT NULL,
    -- When policy was last asked, and how often again.
    asked_at TEXT NOT NULL,
    asked_again INTEGER NOT NULL,
    -- When policy said that the account is disabled.
    contained_at TEXT,
    -- Why it could not be done the last time; empty when nothing was said.
    problem TEXT NOT NULL
) STRICT;

CREATE INDEX containment_unanswered ON containment (asked_at) WHERE contained_at IS NULL;
