-- +goose Up

-- Fingerprint of the settings that a guarded entry's verdict was given under. Only they may have caused it, and only nodes
-- that run with them believe it. An entry without one belongs to no settings.
ALTER TABLE ledger ADD COLUMN settings bytea;

-- Every start looks for entries of other settings.
CREATE INDEX ledger_guarded ON ledger (app) WHERE guarded AND NOT cleared;

-- +goose Down
DROP INDEX ledger_guarded;
ALTER TABLE ledger DROP COLUMN settings;
