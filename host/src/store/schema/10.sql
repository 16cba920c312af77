-- Version 10. The words of messages, found by FTS5. The text itself stays in `messages`. Vowel signs and other marks (M*)
-- are parts of a word, or Hindi and Tamil would fall to pieces; case and diacritics of Latin make no difference.
-- A deletion takes its words out of the pages of the index at once.
CREATE VIRTUAL TABLE messages_words USING fts5(
    text, content = 'messages', content_rowid = 'id', columnsize = 0,
    tokenize = "unicode61 remove_diacritics 2 categories 'L* M* N* Co'"
);
INSERT INTO messages_words (messages_words, rank) VALUES ('secure-delete', 1);

-- Messages up to `until` are not in the index yet: those from before it was there, taken in from the newest on.
CREATE TABLE messages_unindexed (until INTEGER NOT NULL);
INSERT INTO messages_unindexed SELECT coalesce(max(id), 0) FROM messages;

CREATE TRIGGER messages_words_added AFTER INSERT ON messages WHEN new.text IS NOT NULL BEGIN
    INSERT INTO messages_words (rowid, text) VALUES (new.id, new.text);
END;
CREATE TRIGGER messages_words_removed AFTER DELETE ON messages
    WHEN old.text IS NOT NULL AND old.id > (SELECT until FROM messages_unindexed) BEGIN
    INSERT INTO messages_words (messages_words, rowid, text) VALUES ('delete', old.id, old.text);
END;
CREATE TRIGGER messages_words_changed AFTER UPDATE OF text ON messages
    WHEN new.text IS NOT old.text AND old.id > (SELECT until FROM messages_unindexed) BEGIN
    INSERT INTO messages_words (messages_words, rowid, text) SELECT 'delete', old.id, old.text WHERE old.text IS NOT NULL;
    INSERT INTO messages_words (rowid, text) SELECT new.id, new.text WHERE new.text IS NOT NULL;
END;
