-- Version 27. What people and plugins keep on conversations among themselves. Agents are JSON with `id` and `name`.
CREATE TABLE notes (
    id INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL,
    -- The plugin instance that has written it, or `api`.
    author TEXT NOT NULL,
    -- The author's own word for it: there is one of each.
    key TEXT,
    text TEXT NOT NULL,
    agent TEXT,
    at_ms INTEGER NOT NULL
);
CREATE INDEX notes_by_conversation ON notes (conversation, id);
CREATE INDEX notes_by_author ON notes (conversation, author, id);
CREATE UNIQUE INDEX notes_by_key ON notes (conversation, author, key) WHERE key IS NOT NULL;

CREATE TABLE labels (
    id INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL,
    label TEXT NOT NULL,
    UNIQUE (conversation, label)
);

-- To whom a conversation is assigned, if to anybody.
CREATE TABLE assignments (conversation INTEGER PRIMARY KEY, agent TEXT NOT NULL);

CREATE TRIGGER annotations_go_with_their_conversation AFTER DELETE ON conversations BEGIN
    DELETE FROM notes WHERE conversation = old.id;
    DELETE FROM labels WHERE conversation = old.id;
    DELETE FROM assignments WHERE conversation = old.id;
END;
