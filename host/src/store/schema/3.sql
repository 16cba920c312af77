-- Version 3. What a message said before it was edited, as JSON, oldest first; when it was last edited by Meta's
-- clock; and `errors[]` of Meta's for a message that failed or that the API does not show.
ALTER TABLE messages ADD COLUMN earlier TEXT;
ALTER TABLE messages ADD COLUMN edited_ms INTEGER;
ALTER TABLE messages ADD COLUMN errors TEXT;
ALTER TABLE early ADD COLUMN errors TEXT;
ALTER TABLE early ADD COLUMN edit TEXT;
ALTER TABLE early ADD COLUMN revoked INTEGER NOT NULL DEFAULT 0;
