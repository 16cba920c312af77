-- Version 8. Connecting numbers. One row for each account that was connected from here: `step` is look-up, subscribe,
-- contacts, history or done; `number` the only one that is meant, NULL for all that are in the app; `fresh`: the
-- business has just ended the signup; `cause` why the step could not be taken last time.
CREATE TABLE connections (
    waba TEXT PRIMARY KEY,
    number TEXT,
    fresh INTEGER NOT NULL,
    step TEXT NOT NULL,
    begun_ms INTEGER NOT NULL,
    done_ms INTEGER,
    cause TEXT
) WITHOUT ROWID;
-- The number belongs to a connection that is not done; and when it was connected, as far as that is known.
ALTER TABLE numbers ADD COLUMN connecting INTEGER NOT NULL DEFAULT 0;
ALTER TABLE numbers ADD COLUMN onboarded_ms INTEGER;

-- Requests for contacts and history, each stored before it is made. Meta takes one of each kind within a day after the
-- number was connected. `outcome` is asked, accepted, refused (with Meta's code), not-sent or unknown (the answer was lost).
CREATE TABLE sync_requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    number TEXT NOT NULL,
    kind TEXT NOT NULL,
    asked_ms INTEGER NOT NULL,
    window_until_ms INTEGER NOT NULL,
    answered_ms INTEGER,
    outcome TEXT NOT NULL DEFAULT 'asked',
    request_id TEXT,
    code INTEGER,
    cause TEXT
);
CREATE INDEX sync_requests_of_number ON sync_requests (number, kind, id);
