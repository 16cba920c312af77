-- Version 3. Sending within Meta's rates: when the bucket of a customer and of a number is full again, and until
-- when times were given out to those who wait for the number; µs since 1970.
ALTER TABLE conversations ADD COLUMN pair_full_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE numbers ADD COLUMN rate_full_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE numbers ADD COLUMN replies_until_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE numbers ADD COLUMN campaigns_until_us INTEGER NOT NULL DEFAULT 0;

-- Marketing: Meta's time of the word that made `marketing_stopped`, and until when Meta delivers none of it from the
-- number to this customer (131049), ms since 1970.
ALTER TABLE contacts ADD COLUMN marketing_stopped_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN marketing_capped_ms INTEGER NOT NULL DEFAULT 0;
