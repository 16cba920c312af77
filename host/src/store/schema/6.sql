-- Version 6. Whose numbers they are. '' is the gateway's own business: every number that nobody has given to another.
CREATE TABLE businesses (id TEXT PRIMARY KEY, name TEXT NOT NULL, created_ms INTEGER NOT NULL) WITHOUT ROWID;
-- A number has the business of its account; a partner's whose account is not known yet was given its own.
ALTER TABLE accounts ADD COLUMN business TEXT NOT NULL DEFAULT '';
ALTER TABLE numbers ADD COLUMN business TEXT NOT NULL DEFAULT '';
CREATE INDEX numbers_by_business ON numbers (business);

-- Secrets of businesses, each sealed under a master key that is never here. `purpose`: `access` is the token for the
-- provider's API, `webhook` what the provider shows with its webhooks. `number`: the one that it is for, '' for all.
-- `master`: which master key opens it; `box`: nonce, ciphertext and tag.
CREATE TABLE secrets (
    business TEXT NOT NULL,
    purpose TEXT NOT NULL,
    number TEXT NOT NULL,
    master TEXT NOT NULL,
    box BLOB NOT NULL,
    set_ms INTEGER NOT NULL,
    PRIMARY KEY (business, purpose, number)
) WITHOUT ROWID;

-- How a business reaches WhatsApp. No row: Meta itself. `base`: the API's address, NULL for the provider's own.
CREATE TABLE providers (business TEXT PRIMARY KEY, provider TEXT NOT NULL, base TEXT) WITHOUT ROWID;

-- What keeps the sends of a business, or of one number, from leaving: `cause` is token-missing, token-sealed (no master
-- key opens it) or token-refused, then with Meta's code. The row goes when a send succeeds or another token is set.
CREATE TABLE refusals (
    business TEXT NOT NULL,
    number TEXT NOT NULL,
    cause TEXT NOT NULL,
    code INTEGER,
    since_ms INTEGER NOT NULL,
    -- When one send may try the token again.
    next_ms INTEGER NOT NULL,
    PRIMARY KEY (business, number)
) WITHOUT ROWID;
