-- What the first lend and return showed of the provider: it can be tried only with a move.
ALTER TABLE organisation_state ADD COLUMN task_read TEXT;
ALTER TABLE organisation_state ADD COLUMN lend_version TEXT;
ALTER TABLE organisation_state ADD COLUMN return_version TEXT;
