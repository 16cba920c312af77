-- Version 23. Which of a business's people speaks, and has a conversation: JSON with `id` and `name`.
ALTER TABLE outbox ADD COLUMN agent TEXT;
ALTER TABLE handovers ADD COLUMN agent TEXT;

-- Cases that other systems keep of conversations, under the ids that they have there.
CREATE TABLE cases (
    instance TEXT NOT NULL,
    key TEXT NOT NULL,
    conversation INTEGER NOT NULL,
    title TEXT,
    url TEXT,
    status TEXT,
    -- JSON with `id` and `name`.
    assignee TEXT,
    opened_ms INTEGER NOT NULL,
    -- NULL while it is open.
    closed_ms INTEGER,
    PRIMARY KEY (instance, key)
) WITHOUT ROWID;
CREATE INDEX cases_by_conversation ON cases (conversation, opened_ms);
CREATE INDEX cases_open ON cases (instance) WHERE closed_ms IS NULL;
CREATE TRIGGER cases_go_with_their_conversation AFTER DELETE ON conversations BEGIN
    DELETE FROM cases WHERE conversation = old.id;
END;

-- Who is told once the file of a message is stored, or will not come.
CREATE TABLE media_awaited (message INTEGER NOT NULL, instance TEXT NOT NULL, PRIMARY KEY (message, instance)) WITHOUT ROWID;
CREATE TRIGGER media_awaited_no_more AFTER DELETE ON media BEGIN
    DELETE FROM media_awaited WHERE message = old.message;
END;

-- Because of whom a plugin has brought a file along: it goes with the last of them.
CREATE TABLE media_given_for (
    business TEXT NOT NULL,
    digest TEXT NOT NULL,
    contact INTEGER NOT NULL,
    PRIMARY KEY (business, digest, contact)
) WITHOUT ROWID;
CREATE INDEX media_given_by_contact ON media_given_for (contact);
CREATE TRIGGER media_given_for_nobody AFTER DELETE ON media_given BEGIN
    DELETE FROM media_given_for WHERE business = old.business AND digest = old.digest;
END;
