-- Version 26. Which system an event waits for that has to be tried again: scheme, host and port; NULL for none.
ALTER TABLE deliveries ADD COLUMN destination TEXT;
