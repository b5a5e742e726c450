-- +goose Up

-- Notifications on their way from a pusher to its gateway. Times are unix microseconds of the process's clock.
CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    pusher     INTEGER NOT NULL REFERENCES pusher (id) ON DELETE CASCADE,
    gateway    BLOB    NOT NULL,     -- the pusher's, always: a row moves with it
    badge_only INTEGER NOT NULL,
    has_counts INTEGER NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    refusals   INTEGER NOT NULL DEFAULT 0,
    accepted   INTEGER NOT NULL,
    due        INTEGER NOT NULL,
    deadline   INTEGER NOT NULL,
    lease      INTEGER NOT NULL DEFAULT 0, -- outlives its time until somebody else takes the row
    until      INTEGER NOT NULL DEFAULT 0, -- 0: waits
    payload    BLOB    NOT NULL      -- sealed
) STRICT;

CREATE INDEX outbox_due ON outbox (gateway, due, id) WHERE until = 0;
CREATE INDEX outbox_of_gateway ON outbox (gateway, id);
CREATE INDEX outbox_of_pusher ON outbox (pusher, id);
CREATE INDEX outbox_badge ON outbox (pusher) WHERE badge_only = 1;
CREATE UNIQUE INDEX outbox_in_flight ON outbox (pusher) WHERE until > 0;
CREATE INDEX outbox_until ON outbox (until) WHERE until > 0;
CREATE INDEX outbox_deadline ON outbox (deadline);

-- Rows per gateway. Kept by triggers, because rows also go with their pushers.
CREATE TABLE outbox_count (
    gateway BLOB    PRIMARY KEY,
    rows    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER outbox_added AFTER INSERT ON outbox BEGIN
    INSERT INTO outbox_count (gateway, rows) VALUES (new.gateway, 1) ON CONFLICT (gateway) DO UPDATE SET rows = rows + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER outbox_removed AFTER DELETE ON outbox BEGIN
    UPDATE outbox_count SET rows = rows - 1 WHERE gateway = old.gateway;
    DELETE FROM outbox_count WHERE gateway = old.gateway AND rows = 0;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER outbox_moved AFTER UPDATE OF gateway ON outbox BEGIN
    INSERT INTO outbox_count (gateway, rows) VALUES (new.gateway, 1) ON CONFLICT (gateway) DO UPDATE SET rows = rows + 1;
    UPDATE outbox_count SET rows = rows - 1 WHERE gateway = old.gateway;
    DELETE FROM outbox_count WHERE gateway = old.gateway AND rows = 0;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER pusher_moved AFTER UPDATE OF gateway ON pusher WHEN new.gateway <> old.gateway BEGIN
    UPDATE outbox SET gateway = new.gateway WHERE pusher = new.id;
END;
-- +goose StatementEnd

-- What submissions with an idempotency key were answered.
CREATE TABLE outbox_once (
    key      BLOB    PRIMARY KEY,
    body     BLOB    NOT NULL,       -- hash of the request
    at       INTEGER NOT NULL,
    until    INTEGER NOT NULL,
    receipt  TEXT    NOT NULL,
    accepted INTEGER NOT NULL,
    status   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_once_until ON outbox_once (until);

-- +goose Down
DROP TRIGGER pusher_moved;
DROP TABLE outbox_once;
DROP TABLE outbox;
DROP TABLE outbox_count;
