-- Version 18. What plugins have asked outside systems while they handle an event. A row is kept before its call is made
-- and again with its answer; all of an event's go when it is done, dead or gone.

-- An attempt that has made calls: what it saw as now and as chance, and by which component and settings it ran.
CREATE TABLE attempts (
    instance TEXT NOT NULL,
    seq INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    now_ms INTEGER NOT NULL,
    seed BLOB NOT NULL,
    digest TEXT NOT NULL,
    -- SHA-256 of the settings.
    settings BLOB NOT NULL,
    PRIMARY KEY (instance, seq, attempt)
) WITHOUT ROWID;
CREATE INDEX attempts_by_event ON attempts (seq);

CREATE TABLE journal (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    instance TEXT NOT NULL,
    seq INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    -- SHA-256 of the request before secrets, and how many of the same the attempt has asked for before.
    request BLOB NOT NULL,
    occurrence INTEGER NOT NULL,
    -- Whether it only asks: GET and HEAD.
    safe INTEGER NOT NULL,
    -- The answer, secrets masked: a status with headers (JSON) and body, or the error as JSON. None of them while the call
    -- is on its way.
    status INTEGER,
    headers TEXT,
    body BLOB,
    error TEXT,
    UNIQUE (instance, seq, attempt, request, occurrence)
);
CREATE TRIGGER journal_goes_with_its_attempt AFTER DELETE ON attempts BEGIN
    DELETE FROM journal WHERE instance = old.instance AND seq = old.seq AND attempt = old.attempt;
END;
CREATE TRIGGER attempts_go_with_their_event AFTER DELETE ON events BEGIN
    DELETE FROM attempts WHERE seq = old.seq;
END;
