-- Version 16. Open fetches stand by their number, so that those of a number that has to wait are passed over at once.
-- `number` is that of the message, while its file is to be fetched.
ALTER TABLE media ADD COLUMN number TEXT NOT NULL DEFAULT '';
UPDATE media SET number = coalesce((
    SELECT c.number FROM messages m JOIN conversations c ON c.id = m.conversation WHERE m.id = media.message
), '') WHERE state = 'remote';
DROP INDEX media_open;
CREATE INDEX media_open ON media (history, number, next_ms) WHERE state = 'remote';
-- Which of those that wait have waited for too long.
CREATE INDEX media_expiring ON media (history, number, received_ms) WHERE state = 'remote';
