-- Version 2: the life of a number. `state_since_ms` is Meta's time of what made the state, 0 if nothing did;
-- `reason` and `initiated_by` are Meta's words for a disconnection.
ALTER TABLE numbers ADD COLUMN state_since_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE numbers ADD COLUMN reason TEXT;
ALTER TABLE numbers ADD COLUMN initiated_by TEXT;
