-- Rule 12: a service was restored from a backup, and two persons end the drain.
ALTER TABLE organisation_state ADD COLUMN restored INTEGER NOT NULL DEFAULT 0;
-- Who asked first for its end.
ALTER TABLE organisation_state ADD COLUMN drain_end_by TEXT;
