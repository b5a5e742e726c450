-- +goose Up

-- Fingerprint of the settings that a guarded entry's verdict was given under. Only they may have caused it. An entry
-- without one belongs to no settings.
ALTER TABLE ledger ADD COLUMN settings BLOB;

DROP INDEX ledger_guarded;
CREATE INDEX ledger_guarded ON ledger (app, settings) WHERE guarded = 1 AND cleared = 0;

-- +goose Down
DROP INDEX ledger_guarded;
CREATE INDEX ledger_guarded ON ledger (app) WHERE guarded = 1 AND cleared = 0;
ALTER TABLE ledger DROP COLUMN settings;
