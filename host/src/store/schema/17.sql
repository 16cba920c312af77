-- Version 17. Timers that plugins have set, until they fire. `contact` is whom the event was about that set it, for erasure.
CREATE TABLE timers (
    instance TEXT NOT NULL,
    name TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    payload TEXT NOT NULL,
    conversation INTEGER,
    contact INTEGER,
    PRIMARY KEY (instance, name)
) WITHOUT ROWID;
CREATE INDEX timers_due ON timers (instance, at_ms);

-- How many each instance has, so that the bound costs one row to check.
CREATE TABLE timer_usage (instance TEXT PRIMARY KEY, timers INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER timers_added AFTER INSERT ON timers BEGIN
    INSERT INTO timer_usage VALUES (new.instance, 1) ON CONFLICT (instance) DO UPDATE SET timers = timers + 1;
END;
CREATE TRIGGER timers_removed AFTER DELETE ON timers BEGIN
    UPDATE timer_usage SET timers = timers - 1 WHERE instance = old.instance;
END;

-- Schedules of plugins.toml. `last_ms`: the newest tick that was seen; `seq`: the event of the last one that became one.
CREATE TABLE schedules (
    instance TEXT NOT NULL,
    name TEXT NOT NULL,
    last_ms INTEGER NOT NULL,
    seq INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (instance, name)
) WITHOUT ROWID;

-- The only instance that sees the event; NULL for all.
ALTER TABLE events ADD COLUMN instance TEXT;
