-- Version 15. Alarms about a plugin: one open row for each plugin as well. `plugin` is an instance's name.
ALTER TABLE alarms ADD COLUMN plugin TEXT;
DROP INDEX alarms_open;
CREATE UNIQUE INDEX alarms_open ON alarms
    (name, coalesce(number, ''), coalesce(contact, 0), coalesce(business, ''), coalesce(plugin, ''))
    WHERE acknowledged_ms IS NULL;
