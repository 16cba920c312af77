-- Version 3. What a message said before it was edited, as JSON, oldest first; when it was last edited by Meta's
-- clock; and `errors[]` of Meta's for a message that failed or that the API does not show.
ALTER TABLE messages ADD COLUMN earlier TEXT;
ALTER TABLE messages ADD COLUMN edited_ms INTEGER;
ALTER TABLE messages ADD COLUMN errors TEXT;
ALTER TABLE early ADD COLUMN errors TEXT;
ALTER TABLE early ADD COLUMN edit TEXT;
ALTER TABLE early ADD COLUMN revoked INTEGER NOT NULL DEFAULT 0;

-- What each chunk of a number's history held, as Meta told it; phase -1 and order 0 where it told none.
CREATE TABLE history_chunks (
    number TEXT NOT NULL,
    phase INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    progress INTEGER,
    messages INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    PRIMARY KEY (number, phase, chunk)
) WITHOUT ROWID;
INSERT OR IGNORE INTO history_chunks
    SELECT number, coalesce(body ->> 'phase', -1), coalesce(body ->> 'chunk_order', 0), body ->> 'progress', 0, received_ms
    FROM events WHERE kind = 'coexistence.history_progress' AND number IS NOT NULL AND json_valid(body);
ALTER TABLE numbers ADD COLUMN history_declined INTEGER NOT NULL DEFAULT 0;
UPDATE numbers SET history_declined = 1 WHERE history_state = 'declined';
ALTER TABLE numbers DROP COLUMN history_state;
ALTER TABLE numbers DROP COLUMN history_progress;

-- A message that came with the history, be it as the only copy or beside the live one, knows its phase.
ALTER TABLE messages ADD COLUMN phase INTEGER;
UPDATE messages SET phase = -1 WHERE origin = 'history';
DROP INDEX messages_of_history;
-- Holds all that a number's report asks of its messages.
CREATE INDEX messages_of_history ON messages (conversation, phase, type, at_ms, (media IS NOT NULL)) WHERE phase IS NOT NULL;

-- An admin has said that the contact is nobody else: it is not joined again.
ALTER TABLE contacts ADD COLUMN apart INTEGER NOT NULL DEFAULT 0;
