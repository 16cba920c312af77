-- Version 9. How the conversations of a number are handled, as `rules::takeover::Settings` in JSON; without a row as for
-- every number.
CREATE TABLE handling_settings (number TEXT PRIMARY KEY, settings TEXT NOT NULL) WITHOUT ROWID;

-- Who had a conversation when: a row for each change, with the last word that has prolonged it. That a person's time
-- ran out stands in `until_ms`.
CREATE TABLE handovers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation INTEGER NOT NULL,
    handling TEXT NOT NULL,
    -- echo, agent, api or plugin; and the instance, or 'api'.
    cause TEXT NOT NULL,
    who TEXT,
    seq INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    until_ms INTEGER
);
CREATE INDEX handovers_by_conversation ON handovers (conversation, id);
CREATE INDEX handovers_by_age ON handovers (last_ms);
-- What stood before is told as far as it is known.
INSERT INTO handovers (conversation, handling, cause, who, seq, at_ms, last_seq, last_ms, until_ms)
    SELECT c.id, c.handling, CASE WHEN c.handling_by IS NOT NULL THEN 'plugin' WHEN e.kind LIKE 'echo.%' THEN 'echo' ELSE 'api' END,
    c.handling_by, c.handling_seq, e.received_ms, c.handling_seq, e.received_ms, c.handling_until_ms
    FROM conversations c JOIN events e ON e.seq = c.handling_seq WHERE c.handling_seq > 0;

-- Alarms leave. `step`: how often one was told; `next_ms`: when it is to be told again, or that it has settled by itself.
ALTER TABLE alarms ADD COLUMN settled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alarms ADD COLUMN step INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alarms ADD COLUMN next_ms INTEGER;
UPDATE alarms SET next_ms = 0 WHERE acknowledged_ms IS NULL;
CREATE INDEX alarms_due ON alarms (next_ms) WHERE next_ms IS NOT NULL;

-- What is said of an alarm, a row for each way out each time; `body` is the same at each attempt.
CREATE TABLE notices (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    alarm INTEGER NOT NULL,
    -- webhook, mail or template
    channel TEXT NOT NULL,
    body TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    -- pending, sent, or dead (given up)
    state TEXT NOT NULL DEFAULT 'pending',
    attempt INTEGER NOT NULL DEFAULT 0,
    next_ms INTEGER NOT NULL,
    cause TEXT
);
CREATE INDEX notices_open ON notices (channel, id) WHERE state = 'pending';
CREATE INDEX notices_by_alarm ON notices (alarm, id);
CREATE TRIGGER alarm_deleted AFTER DELETE ON alarms BEGIN
    DELETE FROM notices WHERE alarm = old.id;
END;
