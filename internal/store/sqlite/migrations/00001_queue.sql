-- +goose Up

-- Small facts of the store itself: key fingerprint, wrapped look-up key, counters.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Configured apps by number, so that a million rows do not repeat the name.
CREATE TABLE app (
    no       INTEGER PRIMARY KEY,
    app_id   TEXT NOT NULL UNIQUE,
    settings BLOB                    -- fingerprint of the settings last seen
) STRICT;

-- The retry queue. Times are unix microseconds of the process's clock. Payloads live apart, so that moving a row to
-- another time does not rewrite them.
CREATE TABLE queue (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    app        INTEGER NOT NULL,
    device     BLOB    NOT NULL,
    dedup      BLOB,                 -- NULL for badge-only updates
    badge_only INTEGER NOT NULL,
    has_counts INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    stale_dead INTEGER NOT NULL,
    accepted   INTEGER NOT NULL,
    due        INTEGER NOT NULL,
    deadline   INTEGER NOT NULL      -- 0: superseded, to be counted as expired
) STRICT;

-- A duplicate hash covers the device, so this one index finds duplicates and the rows of a device.
CREATE UNIQUE INDEX queue_dedup ON queue (device, dedup);
CREATE INDEX queue_due ON queue (app, due, id);
CREATE INDEX queue_deadline ON queue (deadline);
CREATE INDEX queue_badge ON queue (device, id) WHERE badge_only = 1;

CREATE TABLE payload (
    id   INTEGER PRIMARY KEY,        -- of the queue row
    body BLOB NOT NULL               -- sealed
) STRICT;

-- Dead pushkeys. Removed entries stay as a mark (cleared) until they are pruned, so that followers learn of them.
CREATE TABLE ledger (
    device   BLOB    NOT NULL PRIMARY KEY,
    app      INTEGER NOT NULL,
    since    INTEGER NOT NULL,
    guarded  INTEGER NOT NULL,
    cleared  INTEGER NOT NULL,
    recorded INTEGER NOT NULL,
    seq      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX ledger_seq ON ledger (seq);
CREATE INDEX ledger_recorded ON ledger (recorded);
CREATE INDEX ledger_guarded ON ledger (app) WHERE guarded = 1 AND cleared = 0;

-- +goose Down
DROP TABLE ledger;
DROP TABLE payload;
DROP TABLE queue;
DROP TABLE app;
DROP TABLE meta;
