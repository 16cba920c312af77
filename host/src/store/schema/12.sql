-- Version 12. The ledger: what was counted when it happened, by number ('' for what belongs to none), day of arrival
-- (ms / 86,400,000) and plugin instance ('' for what no plugin did). Code counts what it makes; the triggers below
-- count what is there and what goes. A row that goes missing is so missed on one side only.
CREATE TABLE ledger (
    number TEXT NOT NULL,
    day INTEGER NOT NULL,
    instance TEXT NOT NULL,
    item TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (number, day, instance, item)
) WITHOUT ROWID;

-- Why rows go in the transaction at work; empty when nobody has said so.
CREATE TABLE ledger_reason (reason TEXT NOT NULL);
INSERT INTO ledger_reason VALUES ('');

-- The last receipt of each part that was counted for a number: a long body is taken in by parts.
CREATE TABLE ledger_receipts (part TEXT NOT NULL, number TEXT NOT NULL, receipt INTEGER NOT NULL, PRIMARY KEY (part, number)) WITHOUT ROWID;

-- What is there of a number is counted in this index, and what an instance has not passed.
CREATE INDEX events_by_number ON events (number, received_ms, conversation, history);
CREATE TRIGGER events_gone AFTER DELETE ON events BEGIN
    INSERT INTO ledger SELECT coalesce(old.number, ''), old.received_ms / 86400000, '', 'events.' || reason, 1
    FROM ledger_reason WHERE reason <> ''
    ON CONFLICT DO UPDATE SET count = count + 1;
END;

ALTER TABLE early ADD COLUMN number TEXT NOT NULL DEFAULT '';
CREATE INDEX early_by_number ON early (number);

-- A place that the gateway has not moved itself differs from this one.
ALTER TABLE instances ADD COLUMN passed INTEGER NOT NULL DEFAULT 0;
UPDATE instances SET passed = watermark;

-- What has become of a send: its state, and the gate's cause, or else Meta's code.
ALTER TABLE outbox ADD COLUMN fate TEXT GENERATED ALWAYS AS (
    'sends.' || state || '.' || CASE WHEN cause NOT GLOB '*[^a-z-]*' THEN cause ELSE coalesce(code, '') END
) VIRTUAL;
CREATE TRIGGER sends_made AFTER INSERT ON outbox BEGIN
    INSERT INTO ledger SELECT coalesce((SELECT number FROM conversations WHERE id = new.conversation), ''),
        new.created_ms / 86400000, '', new.fate, 1 WHERE 1
    ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER sends_changed AFTER UPDATE OF state, cause, code ON outbox WHEN old.fate <> new.fate BEGIN
    INSERT INTO ledger SELECT coalesce((SELECT number FROM conversations WHERE id = new.conversation), ''),
        new.created_ms / 86400000, '', new.fate, 1 WHERE 1
    ON CONFLICT DO UPDATE SET count = count + 1;
    UPDATE ledger SET count = count - 1
    WHERE number = coalesce((SELECT number FROM conversations WHERE id = old.conversation), '')
    AND day = old.created_ms / 86400000 AND instance = '' AND item = old.fate;
END;
CREATE TRIGGER sends_gone AFTER DELETE ON outbox BEGIN
    UPDATE ledger SET count = count - 1
    WHERE number = coalesce((SELECT number FROM conversations WHERE id = old.conversation), '')
    AND day = old.created_ms / 86400000 AND instance = '' AND item = old.fate;
    INSERT INTO ledger SELECT coalesce((SELECT number FROM conversations WHERE id = old.conversation), ''),
        old.created_ms / 86400000, '', 'gone.' || reason, 1
    FROM ledger_reason WHERE reason <> ''
    ON CONFLICT DO UPDATE SET count = count + 1;
END;

-- Dead letters of events stand with the instance, those of sends with none.
CREATE VIEW ledger_letters AS
    SELECT d.id, coalesce(e.number, '') AS number, e.received_ms / 86400000 AS day, d.instance
    FROM dead_letters d JOIN events e ON e.seq = d.seq WHERE d.outbox IS NULL
    UNION ALL
    SELECT d.id, coalesce(c.number, ''), o.created_ms / 86400000, ''
    FROM dead_letters d JOIN outbox o ON o.id = d.outbox LEFT JOIN conversations c ON c.id = o.conversation;
CREATE TRIGGER letters_written AFTER INSERT ON dead_letters BEGIN
    INSERT INTO ledger SELECT number, day, instance, 'letters', 1 FROM ledger_letters WHERE id = new.id
    ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER letters_gone BEFORE DELETE ON dead_letters BEGIN
    INSERT INTO ledger SELECT number, day, instance, 'letters', -1 FROM ledger_letters WHERE id = old.id
    ON CONFLICT DO UPDATE SET count = count - 1;
    INSERT INTO ledger SELECT number, day, instance, 'letters.' || reason, 1
    FROM ledger_letters, ledger_reason WHERE id = old.id AND reason <> ''
    ON CONFLICT DO UPDATE SET count = count + 1;
END;

-- Whose account it is: the accounts of one portfolio share Meta's limit for a day.
ALTER TABLE accounts ADD COLUMN portfolio TEXT;
CREATE INDEX accounts_by_portfolio ON accounts (portfolio) WHERE portfolio IS NOT NULL;

-- When the customer came through an advertisement and was not answered yet, and until when messages are free since then.
ALTER TABLE conversations ADD COLUMN entry_ms INTEGER;
ALTER TABLE conversations ADD COLUMN free_until_ms INTEGER;

-- What was there before anybody counted.
INSERT INTO ledger SELECT coalesce(number, ''), received_ms / 86400000, '', 'events.new', count(*)
    FROM events WHERE receipt > 0 GROUP BY 1, 2;
INSERT INTO ledger SELECT number, day, '', 'elements', count FROM ledger WHERE item = 'events.new';
INSERT INTO ledger SELECT coalesce(number, ''), received_ms / 86400000, '', 'events.own', count(*)
    FROM events WHERE receipt = 0 GROUP BY 1, 2;
INSERT INTO ledger SELECT coalesce(c.number, ''), o.created_ms / 86400000, '', o.fate, count(*)
    FROM outbox o LEFT JOIN conversations c ON c.id = o.conversation GROUP BY 1, 2, 4;
INSERT INTO ledger SELECT number, day, '', 'sends', sum(count) FROM ledger WHERE item GLOB 'sends.*' GROUP BY 1, 2;
INSERT INTO ledger SELECT number, day, instance, 'letters', count(*) FROM ledger_letters GROUP BY 1, 2, 4;
INSERT INTO ledger SELECT number, day, instance, 'dead', count FROM ledger WHERE item = 'letters';
INSERT INTO ledger SELECT coalesce(e.number, ''), e.received_ms / 86400000, i.name, 'before', count(*)
    FROM instances i JOIN events e ON e.seq <= i.watermark
    WHERE NOT EXISTS (SELECT 1 FROM dead_letters d WHERE d.instance = i.name AND d.seq = e.seq AND d.outbox IS NULL)
    GROUP BY 1, 2, 3;
