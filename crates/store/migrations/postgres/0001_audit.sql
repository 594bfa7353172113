-- Who did what to whom. Rows are added together with their cause and never changed, but for the link that a chainer
-- adds once. What was hashed is what is stored, byte for byte: hence `detail` is text, not jsonb, which rewrites it.
CREATE TABLE audit_entry (
    number       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- order of writing, with gaps
    organisation TEXT NOT NULL,                                  -- each organisation has a chain of its own
    at           TIMESTAMPTZ NOT NULL,                           -- when it was decided, by the service's clock
    actor        TEXT NOT NULL,                                  -- the person or service that acted
    action       TEXT NOT NULL,                                  -- what was done, as `lease.opened`
    subject      TEXT NOT NULL,                                  -- the id that it was done to: an account, a recovery
    detail       TEXT NOT NULL,                                  -- a JSON object without personal data
    trace_id     TEXT,                                           -- the trace it belongs to, 32 hex digits
    personal     BYTEA CHECK (octet_length(personal) = 32),      -- digest of the personal data, which may be erased
    seq          BIGINT CHECK (seq >= 1),                        -- place in the organisation's chain, without gaps
    hash         BYTEA CHECK (octet_length(hash) = 32),          -- SHA-256 over the hash before it and this entry
    CHECK ((seq IS NULL) = (hash IS NULL))
);
CREATE INDEX audit_entry_unlinked ON audit_entry (number) WHERE seq IS NULL;
CREATE UNIQUE INDEX audit_entry_chain ON audit_entry (organisation, seq) WHERE seq IS NOT NULL;
CREATE INDEX audit_entry_subject ON audit_entry (organisation, subject);

-- Personal data said in an entry. Deleting a row erases it and leaves the chain whole.
CREATE TABLE audit_personal (
    digest BYTEA PRIMARY KEY CHECK (octet_length(digest) = 32), -- SHA-256 over salt and text; the entry's `personal`
    salt   BYTEA NOT NULL CHECK (octet_length(salt) = 16),      -- random: without it a short text could be guessed
    text   TEXT NOT NULL
);

-- The end of each chain, and how far of it the signed checkpoints reach.
CREATE TABLE audit_checkpoint (
    organisation TEXT PRIMARY KEY,
    seq          BIGINT NOT NULL,                                     -- the newest linked entry
    hash         BYTEA NOT NULL CHECK (octet_length(hash) = 32),      -- its hash
    anchored_seq BIGINT NOT NULL CHECK (anchored_seq <= seq)          -- the newest one in the checkpoint file; 0: none
);
