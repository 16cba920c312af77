-- Version 20. The last runs of each instance, with what each has read and what it came to, so that another version of the
-- plugin can be run over the same events.

CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    instance TEXT NOT NULL,
    seq INTEGER NOT NULL,
    -- Whom the event was about, for erasure.
    contact INTEGER,
    attempt INTEGER NOT NULL,
    -- What it saw as now and as chance.
    now_ms INTEGER NOT NULL,
    seed BLOB NOT NULL,
    digest TEXT NOT NULL,
    -- SHA-256 of the settings.
    settings BLOB NOT NULL,
    -- What it came to, as JSON.
    outcome TEXT NOT NULL,
    effects TEXT NOT NULL,
    -- What it has read, and what its calls have brought: JSON, and the values and bodies one after the other. NULL when that
    -- was too much to be kept.
    reads TEXT,
    read_bytes BLOB,
    calls TEXT,
    call_bytes BLOB
);
CREATE INDEX runs_by_instance ON runs (instance);
