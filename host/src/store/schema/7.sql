-- Version 7. Walls between businesses; '' is the gateway's own. A person who writes to two businesses is two contacts:
-- what one of them knows of the person, and was asked to keep to, is none of the other's.
CREATE TABLE contacts_walled (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    business TEXT NOT NULL DEFAULT '',
    wa_id TEXT,
    user_id TEXT,
    name TEXT,
    username TEXT,
    -- The name in the phone's address book, and when the phone last spoke of it.
    saved_name TEXT,
    saved_ms INTEGER,
    marketing_stopped INTEGER NOT NULL DEFAULT 0,
    marketing_stopped_ms INTEGER NOT NULL DEFAULT 0,
    same_as INTEGER,
    apart INTEGER NOT NULL DEFAULT 0,
    -- The phone stands first, so that a person is also found in all businesses at once.
    UNIQUE (wa_id, business),
    UNIQUE (user_id, business)
);
INSERT INTO contacts_walled (id, wa_id, user_id, name, username, saved_name, saved_ms, marketing_stopped, marketing_stopped_ms, same_as, apart)
    SELECT id, wa_id, user_id, name, username, saved_name, saved_ms, marketing_stopped, marketing_stopped_ms, same_as, apart FROM contacts;
-- An id that was given to somebody who has left is given to nobody else.
DELETE FROM sqlite_sequence WHERE name = 'contacts_walled';
INSERT INTO sqlite_sequence (name, seq) SELECT 'contacts_walled', seq FROM sqlite_sequence WHERE name = 'contacts';
DROP TABLE contacts;
ALTER TABLE contacts_walled RENAME TO contacts;
CREATE INDEX contacts_joined ON contacts (same_as) WHERE same_as IS NOT NULL;

-- Whose event it is, as it was when it came; an instance's business is for good, since its store holds what it saw.
ALTER TABLE events ADD COLUMN business TEXT NOT NULL DEFAULT '';
ALTER TABLE instances ADD COLUMN business TEXT NOT NULL DEFAULT '';
ALTER TABLE dead_letters ADD COLUMN business TEXT NOT NULL DEFAULT '';
-- The business whose things the token sees; NULL for all.
ALTER TABLE tokens ADD COLUMN business TEXT;
