-- Version 13. Files that are sent. A file that a business handed over, until it has not been sent for long, or nobody is
-- left to whom it was.
CREATE TABLE media_given (
    business TEXT NOT NULL,
    digest TEXT NOT NULL,
    mime_type TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    -- Of a WebP: whether it moves.
    animated INTEGER,
    -- When it was handed over or named by a send last.
    used_ms INTEGER NOT NULL,
    PRIMARY KEY (business, digest)
) WITHOUT ROWID;
CREATE INDEX media_given_by_age ON media_given (used_ms);
CREATE TRIGGER media_given_added AFTER INSERT ON media_given BEGIN
    INSERT INTO media_files VALUES (new.digest, new.bytes, 1) ON CONFLICT (digest) DO UPDATE SET refs = refs + 1;
END;
CREATE TRIGGER media_given_removed AFTER DELETE ON media_given BEGIN
    UPDATE media_files SET refs = refs - 1 WHERE digest = old.digest;
END;

-- The files that a send names, as long as it is open or dead; `again`: Meta had lost one, and it was uploaded once more.
CREATE TABLE outbox_files (
    outbox INTEGER NOT NULL,
    digest TEXT NOT NULL,
    mime_type TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    again INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (outbox, digest)
) WITHOUT ROWID;
CREATE INDEX outbox_files_by_digest ON outbox_files (digest);
CREATE TRIGGER outbox_files_added AFTER INSERT ON outbox_files BEGIN
    INSERT INTO media_files VALUES (new.digest, new.bytes, 1) ON CONFLICT (digest) DO UPDATE SET refs = refs + 1;
END;
CREATE TRIGGER outbox_files_removed AFTER DELETE ON outbox_files BEGIN
    UPDATE media_files SET refs = refs - 1 WHERE digest = old.digest;
END;
CREATE TRIGGER outbox_closed AFTER UPDATE OF state ON outbox WHEN new.state NOT IN ('pending', 'sending', 'unknown', 'dead') BEGIN
    DELETE FROM outbox_files WHERE outbox = new.id;
END;
CREATE TRIGGER outbox_deleted AFTER DELETE ON outbox BEGIN
    DELETE FROM outbox_files WHERE outbox = old.id;
END;

-- Under which id Meta has a file for a number, and since when. It goes with the file.
CREATE TABLE media_uploads (
    number TEXT NOT NULL,
    digest TEXT NOT NULL,
    mime_type TEXT NOT NULL,
    media_id TEXT NOT NULL,
    uploaded_ms INTEGER NOT NULL,
    PRIMARY KEY (number, digest, mime_type)
) WITHOUT ROWID;
CREATE INDEX media_uploads_by_digest ON media_uploads (digest);
CREATE TRIGGER media_file_gone AFTER DELETE ON media_files BEGIN
    DELETE FROM media_uploads WHERE digest = old.digest;
END;

-- A message that was sent has its file from the beginning.
CREATE TRIGGER media_sent AFTER INSERT ON media WHEN new.digest IS NOT NULL BEGIN
    INSERT INTO media_files VALUES (new.digest, new.bytes, 1) ON CONFLICT (digest) DO UPDATE SET refs = refs + 1;
END;
CREATE INDEX media_by_digest ON media (digest) WHERE digest IS NOT NULL;
