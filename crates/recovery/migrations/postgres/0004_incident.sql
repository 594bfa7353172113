-- Whatever needs a person's eye: one object with the next automatic action and a safe action.
CREATE TABLE incident (
    id UUID NOT NULL PRIMARY KEY,
    -- What it is about, so that a repeat opens no second one.
    key TEXT NOT NULL UNIQUE,
    organisation TEXT NOT NULL,
    -- The case; NULL when it is about none.
    recovery UUID,
    -- The account; empty when it is about none.
    account TEXT NOT NULL,
    -- Stable, for example repudiated.
    kind TEXT NOT NULL,
    sentence TEXT NOT NULL,
    -- What Homeward does next by itself; empty when nothing.
    next_action TEXT NOT NULL,
    next_at TIMESTAMPTZ,
    -- What a person can safely do.
    safe_action TEXT NOT NULL,
    opened_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX incident_page ON incident (organisation, id);

-- Accounts that are to be disabled because their owner said "this was not me". Asked again until policy answers.
CREATE TABLE containment (
    recovery UUID NOT NULL PRIMARY KEY,
    organisation TEXT NOT NULL,
    account TEXT NOT NULL,
    -- When policy was last asked, and how often again.
    asked_at TIMESTAMPTZ NOT NULL,
    asked_again BIGINT NOT NULL,
    -- When policy said that the account is disabled.
    contained_at TIMESTAMPTZ,
    -- Why it could not be done the last time; empty when nothing was said.
    problem TEXT NOT NULL
);

CREATE INDEX containment_unanswered ON containment (asked_at) WHERE contained_at IS NULL;
