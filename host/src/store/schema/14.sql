-- Version 14. Alarms of a business that are about none of its numbers: one open row for each business as well. `business` is
-- NULL where the number or the contact tells whose it is, or it is about the whole gateway.
ALTER TABLE alarms ADD COLUMN business TEXT;
DROP INDEX alarms_open;
CREATE UNIQUE INDEX alarms_open ON alarms (name, coalesce(number, ''), coalesce(contact, 0), coalesce(business, ''))
    WHERE acknowledged_ms IS NULL;
