-- Version 19. Of Meta's alerts about a number the newer word counts, too, by Meta's time: when it last said that they are
-- over, and when it last said what an open alarm tells.
ALTER TABLE numbers ADD COLUMN alerts_over_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alarms ADD COLUMN said_ms INTEGER NOT NULL DEFAULT 0;
