-- Version 1. All times are ms since 1970; `seq` is an event's number, given in commit order.

-- How far intake has come: the last receipt taken in whole, and how many elements of the next one.
CREATE TABLE intake (part TEXT PRIMARY KEY, receipt INTEGER NOT NULL, element INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO intake VALUES ('live', 0, 0), ('history', 0, 0);

-- Signed bodies that could not be decoded; the body itself stands in the receipt log.
CREATE TABLE unreadable (receipt INTEGER PRIMARY KEY, received_ms INTEGER NOT NULL, reason TEXT NOT NULL);

-- What the store knows of itself. `store` is its id: it marks our sends, so that another gateway's are not taken for ours.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('store', lower(hex(randomblob(8))));

-- On SQLite one lease covers all lanes; the epoch fences what an earlier process left in flight.
CREATE TABLE leases (scope TEXT PRIMARY KEY, owner TEXT NOT NULL, epoch INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL,
    kind TEXT NOT NULL,
    number TEXT,
    waba TEXT,
    contact INTEGER,
    conversation INTEGER,
    at_ms INTEGER,
    received_ms INTEGER NOT NULL,
    receipt INTEGER NOT NULL,
    history INTEGER NOT NULL,
    body TEXT NOT NULL,
    context TEXT
);
CREATE INDEX events_by_contact ON events (contact) WHERE contact IS NOT NULL;

-- First 16 bytes of SHA-256 over what makes an element the same. Hashed, so that a key may outlive an erasure.
-- `message` names the message that the key stands for; a key without one expires after 30 days.
CREATE TABLE dedupe (key BLOB PRIMARY KEY, message INTEGER, received_ms INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE numbers (
    id TEXT PRIMARY KEY,
    display TEXT,
    waba TEXT,
    state TEXT NOT NULL,
    app_seen_ms INTEGER,
    contacts_state TEXT NOT NULL DEFAULT 'none',
    history_state TEXT NOT NULL DEFAULT 'none',
    history_progress INTEGER
) WITHOUT ROWID;

CREATE TABLE contacts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    wa_id TEXT UNIQUE,
    user_id TEXT UNIQUE,
    name TEXT,
    username TEXT,
    -- The name in the phone's address book, and when the phone last spoke of it.
    saved_name TEXT,
    saved_ms INTEGER,
    marketing_stopped INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE conversations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    number TEXT NOT NULL,
    contact INTEGER NOT NULL,
    -- 'person' until handling_until_ms, else 'automation'.
    handling TEXT NOT NULL DEFAULT 'automation',
    handling_until_ms INTEGER,
    -- The event that made it so, and the instance if a plugin did.
    handling_seq INTEGER NOT NULL DEFAULT 0,
    handling_by TEXT,
    window_until_ms INTEGER,
    last_ms INTEGER,
    UNIQUE (number, contact)
);
CREATE INDEX conversations_by_contact ON conversations (contact);

CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation INTEGER NOT NULL,
    wamid TEXT,
    direction TEXT NOT NULL,
    origin TEXT NOT NULL,
    type TEXT NOT NULL,
    text TEXT,
    at_ms INTEGER NOT NULL,
    status TEXT,
    status_error INTEGER,
    reply_to TEXT,
    media TEXT,
    edited INTEGER NOT NULL DEFAULT 0,
    revoked INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX messages_by_time ON messages (conversation, at_ms, id);

-- Statuses and media that came before their message.
CREATE TABLE early (key BLOB PRIMARY KEY, status TEXT, error INTEGER, media TEXT, type TEXT, text TEXT, received_ms INTEGER NOT NULL) WITHOUT ROWID;

-- A plugin instance's place: every event up to the watermark is done, and in some lanes later ones too.
-- `gone_ms`: since when it is no longer in plugins.toml.
CREATE TABLE instances (name TEXT PRIMARY KEY, watermark INTEGER NOT NULL, gone_ms INTEGER) WITHOUT ROWID;
CREATE TABLE lanes (instance TEXT NOT NULL, lane TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (instance, lane)) WITHOUT ROWID;

-- An event that must be tried again; the happy path writes none.
CREATE TABLE deliveries (
    instance TEXT NOT NULL,
    seq INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    next_ms INTEGER NOT NULL,
    cause TEXT NOT NULL,
    redriven INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (instance, seq)
) WITHOUT ROWID;
CREATE INDEX deliveries_by_event ON deliveries (seq);

CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    instance TEXT NOT NULL,
    seq INTEGER NOT NULL,
    -- The outbox row when a send died, else NULL.
    outbox INTEGER,
    cause TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    at_ms INTEGER NOT NULL
);
CREATE INDEX dead_letters_by_event ON dead_letters (seq);
CREATE INDEX dead_letters_by_send ON dead_letters (outbox) WHERE outbox IS NOT NULL;

-- An instance's own store. `contact` is whom the writing event was about, for erasure.
CREATE TABLE kv (
    instance TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    expires_ms INTEGER,
    contact INTEGER,
    PRIMARY KEY (instance, key)
) WITHOUT ROWID;

-- What each instance's store holds, kept exact by triggers, so that a bound costs one row to check.
CREATE TABLE kv_usage (instance TEXT PRIMARY KEY, keys INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER kv_added AFTER INSERT ON kv BEGIN
    INSERT INTO kv_usage VALUES (new.instance, 1, octet_length(new.key) + octet_length(new.value))
    ON CONFLICT (instance) DO UPDATE SET keys = keys + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER kv_changed AFTER UPDATE OF value ON kv BEGIN
    UPDATE kv_usage SET bytes = bytes + octet_length(new.value) - octet_length(old.value) WHERE instance = new.instance;
END;
CREATE TRIGGER kv_removed AFTER DELETE ON kv BEGIN
    UPDATE kv_usage SET keys = keys - 1, bytes = bytes - octet_length(old.key) - octet_length(old.value)
    WHERE instance = old.instance;
END;

CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- 'api' for a send that came through the admin API.
    instance TEXT NOT NULL,
    digest TEXT NOT NULL,
    -- The event that caused it.
    seq INTEGER NOT NULL,
    conversation INTEGER NOT NULL,
    speaker TEXT NOT NULL,
    message TEXT NOT NULL,
    -- Open: pending, sending, unknown (the answer was lost). Closed: sent, failed (Meta refused it, or failed it
    -- later), refused and cancelled (by the gate), dead (beside a dead letter; a late status may still correct it).
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    next_ms INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    -- When the last attempt left, and since when its answer is missing.
    sending_ms INTEGER,
    unknown_ms INTEGER,
    wamid TEXT,
    -- Meta's error code and the reason in words, when it was not sent.
    code INTEGER,
    cause TEXT
);
CREATE INDEX outbox_open ON outbox (conversation, id) WHERE state IN ('pending', 'sending', 'unknown');
CREATE INDEX outbox_by_event ON outbox (seq);

-- Bearer tokens of the admin API beside the root token; only the SHA-256 of each is kept.
CREATE TABLE tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    -- Space-separated.
    scopes TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    last_used_ms INTEGER
);
-- A number's history is counted while it comes in.
CREATE INDEX messages_of_history ON messages (conversation, type) WHERE origin = 'history';
