-- Version 4. Sending within Meta's rates: when the bucket of a customer and of a number is full again, and until
-- when times were given out to those who wait for the number; µs since 1970.
ALTER TABLE conversations ADD COLUMN pair_full_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE numbers ADD COLUMN rate_full_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE numbers ADD COLUMN replies_until_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE numbers ADD COLUMN campaigns_until_us INTEGER NOT NULL DEFAULT 0;

-- Marketing: Meta's time of the word that made `marketing_stopped`, and until when Meta delivers none of it from the
-- number to this customer (131049), ms since 1970.
ALTER TABLE contacts ADD COLUMN marketing_stopped_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN marketing_capped_ms INTEGER NOT NULL DEFAULT 0;

-- Templates by account, in Meta's words; `learned_ms` is the time of the newest of them.
CREATE TABLE templates (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    waba TEXT NOT NULL,
    name TEXT NOT NULL,
    language TEXT NOT NULL,
    status TEXT,
    category TEXT,
    quality TEXT,
    learned_ms INTEGER NOT NULL,
    UNIQUE (waba, name, language)
);
-- When an account's list was last read to its end (0: never), and when something last made another reading worthwhile.
CREATE TABLE template_reads (waba TEXT PRIMARY KEY, read_ms INTEGER NOT NULL DEFAULT 0, wanted_ms INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;

-- What an admin should look at: one open row for each name, number and contact. `seq` is the event that raised it last,
-- `detail` holds nothing personal.
CREATE TABLE alarms (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    number TEXT,
    contact INTEGER,
    seq INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    times INTEGER NOT NULL DEFAULT 1,
    detail TEXT NOT NULL,
    acknowledged_ms INTEGER
);
CREATE UNIQUE INDEX alarms_open ON alarms (name, coalesce(number, ''), coalesce(contact, 0)) WHERE acknowledged_ms IS NULL;

-- What Meta says of a number's quality, and of an account: each word with Meta's time, so that a late one takes
-- nothing back. `restricted_until_ms`: until when the account may not begin conversations.
ALTER TABLE numbers ADD COLUMN flagged INTEGER NOT NULL DEFAULT 0;
ALTER TABLE numbers ADD COLUMN flagged_ms INTEGER NOT NULL DEFAULT 0;
CREATE TABLE accounts (
    waba TEXT PRIMARY KEY,
    locked INTEGER NOT NULL DEFAULT 0,
    locked_ms INTEGER NOT NULL DEFAULT 0,
    restricted_until_ms INTEGER NOT NULL DEFAULT 0,
    restricted_ms INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- Customers to whom a template began a conversation, and when it did so last; kept for 24 hours. `openings` counts
-- them by triggers, so that Meta's limit costs one row to check; NULL: no limit is known.
CREATE TABLE openings (waba TEXT NOT NULL, contact INTEGER NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (waba, contact)) WITHOUT ROWID;
CREATE INDEX openings_by_time ON openings (waba, at_ms);
CREATE INDEX openings_by_contact ON openings (contact);
ALTER TABLE accounts ADD COLUMN openings INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN openings_max INTEGER;
ALTER TABLE accounts ADD COLUMN openings_max_ms INTEGER NOT NULL DEFAULT 0;
CREATE TRIGGER openings_added AFTER INSERT ON openings BEGIN
    INSERT INTO accounts (waba, openings) VALUES (new.waba, 1) ON CONFLICT (waba) DO UPDATE SET openings = openings + 1;
END;
CREATE TRIGGER openings_removed AFTER DELETE ON openings BEGIN
    UPDATE accounts SET openings = openings - 1 WHERE waba = old.waba;
END;
