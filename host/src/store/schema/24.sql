-- Version 24. The refresh tokens of plugins that came in place of those in variables and files, sealed.
CREATE TABLE refresh_tokens (
    business TEXT NOT NULL,
    instance TEXT NOT NULL,
    -- Its name in the instance's grant.
    secret TEXT NOT NULL,
    -- SHA-256 of the first one and of where it is good.
    origin BLOB NOT NULL,
    master TEXT NOT NULL,
    box BLOB NOT NULL,
    set_ms INTEGER NOT NULL,
    PRIMARY KEY (instance, secret, origin)
) WITHOUT ROWID;
