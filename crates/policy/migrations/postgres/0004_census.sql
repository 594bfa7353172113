-- Rule 12: policy was restored from a backup then, and has not read every account since. Nothing is lent meanwhile.
ALTER TABLE organisation_state ADD COLUMN census_wanted_at TIMESTAMPTZ;
