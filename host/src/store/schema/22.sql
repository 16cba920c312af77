-- Version 22. Calls of plugins' hooks: which were taken, by their keys, and what their callers were answered. A row goes 30
-- days after its call; what the call said is its event.
CREATE TABLE hooks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    instance TEXT NOT NULL,
    -- First 16 bytes of SHA-256 over the path and what a repetition has in common with its call. Hashed, so that it may
    -- outlive an erasure. NULL where each call is a new one.
    key BLOB,
    seq INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    -- The answer, once there is one; headers as JSON. 410 when it has gone with whom it was about.
    status INTEGER,
    headers TEXT,
    body BLOB,
    UNIQUE (instance, key)
);
CREATE INDEX hooks_by_event ON hooks (seq);
CREATE INDEX hooks_by_age ON hooks (received_ms);
CREATE TRIGGER hooks_forget_with_their_event AFTER DELETE ON events WHEN old.instance IS NOT NULL BEGIN
    UPDATE hooks SET status = 410, headers = NULL, body = NULL WHERE seq = old.seq;
END;
