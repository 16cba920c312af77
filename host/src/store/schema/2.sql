-- Version 2. The life of a number: `state_since_ms` is Meta's time of what made the state, 0 if nothing did;
-- `reason` and `initiated_by` are Meta's words for a disconnection.
ALTER TABLE numbers ADD COLUMN state_since_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE numbers ADD COLUMN reason TEXT;
ALTER TABLE numbers ADD COLUMN initiated_by TEXT;

-- The contact that stands for the same person, once an element has shown that two are one.
ALTER TABLE contacts ADD COLUMN same_as INTEGER;
CREATE INDEX contacts_joined ON contacts (same_as) WHERE same_as IS NOT NULL;
