-- What we know of each account at the provider. Rows are never deleted: an account that is gone stays, with the status `deleted`.
CREATE TABLE account (
    organisation    TEXT NOT NULL,
    account         TEXT NOT NULL,      -- the provider's id
    email           TEXT,               -- in lower case; NULL while the provider gives none
    name            TEXT NOT NULL,
    folded_name     TEXT NOT NULL,      -- the name as searches compare it: lower case, no accents, single blanks
    claim           TEXT NOT NULL CHECK (claim IN ('managed', 'domain_not_verified', 'not_claimed')),
    status          TEXT NOT NULL CHECK (status IN ('active', 'suspended', 'deactivated', 'deleted')),
    synced_from     TEXT,               -- the identity provider that it comes from, in words
    administrator   BOOLEAN,            -- NULL until a search told
    last_active     TIMESTAMPTZ,
    mail_changed_at TIMESTAMPTZ,        -- when we saw another address than before
    learned_at      TIMESTAMPTZ NOT NULL, -- when the newest read that showed it began
    detailed_at     TIMESTAMPTZ,        -- when the newest search that showed it began: pages say less
    gone_at         TIMESTAMPTZ,        -- since when two different calls do not find it
    version         BIGINT NOT NULL,    -- grows by one with each change that is announced
    seen_sweep      BIGINT NOT NULL,    -- the last sweep that saw it; 0 before the first
    PRIMARY KEY (organisation, account),
    CHECK (gone_at IS NULL OR status = 'deleted')
);
CREATE INDEX account_email ON account (organisation, email);
-- The words of names and of the addresses' left parts, for searching.
CREATE TABLE name_word (
    organisation    TEXT NOT NULL,
    word            TEXT COLLATE "C" NOT NULL,
    account         TEXT NOT NULL,
    PRIMARY KEY (organisation, word, account)
);
