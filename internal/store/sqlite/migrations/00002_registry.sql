-- +goose Up

-- Pushers. A person, a pushkey, a gateway and a session are found by keyed hashes, each over the realm too, so that
-- realms never meet. Times are unix microseconds of the process's clock.
CREATE TABLE pusher (
    id      INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again: a pusher registered anew is another one
    owner   BLOB    NOT NULL,        -- hash of the person
    pushkey BLOB    NOT NULL,        -- hash
    app_id  TEXT    NOT NULL,
    gateway BLOB    NOT NULL,        -- hash of data.url
    session BLOB,                    -- hash of the person and the session that registered it first
    device  BLOB,                    -- sealed: the session itself
    body    BLOB    NOT NULL,        -- sealed: everything else
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL         -- rises with every registration
) STRICT;

-- Also finds all of a person and all of a person's pushkey.
CREATE UNIQUE INDEX pusher_key ON pusher (owner, pushkey, app_id);
CREATE INDEX pusher_pushkey ON pusher (pushkey, app_id);

-- Explicit choices only. Everything else has its configured default.
CREATE TABLE channel_choice (
    pusher  INTEGER NOT NULL REFERENCES pusher (id) ON DELETE CASCADE,
    channel TEXT    NOT NULL,
    status  TEXT    NOT NULL,
    PRIMARY KEY (pusher, channel)
) STRICT, WITHOUT ROWID;

-- The newest generation of a pusher's key chain.
CREATE TABLE month_key (
    pusher INTEGER PRIMARY KEY REFERENCES pusher (id) ON DELETE CASCADE,
    month  INTEGER NOT NULL,         -- of the generation: year * 12 + month - 1
    body   BLOB    NOT NULL          -- sealed: key identifier and keys
) STRICT;

-- +goose Down
DROP TABLE month_key;
DROP TABLE channel_choice;
DROP TABLE pusher;
