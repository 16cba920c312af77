-- Version 5. Files of messages. One row for each message with a file: what there is to fetch, and what came of it.
CREATE TABLE media (
    message INTEGER PRIMARY KEY,
    -- Meta's id of the file, and the address that the webhook gave, if any.
    media_id TEXT,
    url TEXT,
    -- What the webhook says of the file's SHA-256.
    claimed TEXT,
    history INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    -- Open: remote. Closed: stored, failed, expired, too-large, removed (by retention).
    state TEXT NOT NULL DEFAULT 'remote',
    attempt INTEGER NOT NULL DEFAULT 0,
    strikes INTEGER NOT NULL DEFAULT 0,
    next_ms INTEGER NOT NULL DEFAULT 0,
    -- Why it is not stored, in words.
    cause TEXT,
    mime_type TEXT,
    -- SHA-256 in hex, while the file is on disk.
    digest TEXT,
    bytes INTEGER
);
CREATE INDEX media_open ON media (history, next_ms) WHERE state = 'remote';
CREATE INDEX media_by_age ON media (received_ms) WHERE state = 'stored';

-- The files on disk, by the hex SHA-256 that names them. One to which nothing refers has to be removed.
CREATE TABLE media_files (digest TEXT PRIMARY KEY, bytes INTEGER NOT NULL, refs INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX media_files_gone ON media_files (digest) WHERE refs = 0;
CREATE TABLE media_usage (bytes INTEGER NOT NULL);
INSERT INTO media_usage VALUES (0);

CREATE TRIGGER media_files_added AFTER INSERT ON media_files BEGIN
    UPDATE media_usage SET bytes = bytes + new.bytes;
END;
CREATE TRIGGER media_files_removed AFTER DELETE ON media_files BEGIN
    UPDATE media_usage SET bytes = bytes - old.bytes;
END;
CREATE TRIGGER media_stored AFTER UPDATE OF digest ON media BEGIN
    UPDATE media_files SET refs = refs - 1 WHERE digest = old.digest;
    INSERT INTO media_files SELECT new.digest, new.bytes, 1 WHERE new.digest IS NOT NULL
    ON CONFLICT (digest) DO UPDATE SET refs = refs + 1;
END;
CREATE TRIGGER media_deleted AFTER DELETE ON media BEGIN
    UPDATE media_files SET refs = refs - 1 WHERE digest = old.digest;
END;
-- A file goes with its message, and with what Meta said of it.
CREATE TRIGGER message_deleted AFTER DELETE ON messages BEGIN
    DELETE FROM media WHERE message = old.id;
END;
CREATE TRIGGER message_media_erased AFTER UPDATE OF media ON messages WHEN new.media IS NULL AND old.media IS NOT NULL BEGIN
    DELETE FROM media WHERE message = old.id;
END;

-- What came before is fetched as far as Meta still has it.
INSERT INTO media (message, media_id, url, claimed, history, received_ms)
    SELECT id, media ->> 'id', media ->> 'url', media ->> 'sha256', 1, at_ms FROM messages
    WHERE media IS NOT NULL AND json_valid(media);
UPDATE messages SET media = json_remove(media, '$.state') WHERE media IS NOT NULL AND json_valid(media);
UPDATE early SET media = json_remove(media, '$.state') WHERE media IS NOT NULL AND json_valid(media);
