-- Version 21. Which versions of each plugin were live last; their components lie in the data folder, under their digests.
CREATE TABLE versions (
    instance TEXT NOT NULL,
    digest TEXT NOT NULL,
    version TEXT NOT NULL,
    -- When it took over, and in which order.
    live_ms INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    PRIMARY KEY (instance, digest)
) WITHOUT ROWID;
