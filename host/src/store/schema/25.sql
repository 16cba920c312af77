-- Version 25. Which version of each plugin was withdrawn as a canary, so that it is not run again after a restart.
CREATE TABLE canaries (
    instance TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    version TEXT NOT NULL,
    -- Why, without words of the plugin's.
    cause TEXT NOT NULL,
    withdrawn_ms INTEGER NOT NULL
) WITHOUT ROWID;
