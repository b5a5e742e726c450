-- +goose Up

-- Pushers. A person, a pushkey, a gateway and a session are found by keyed hashes, each over the realm too, so that
-- realms never meet. Times are unix microseconds of this database's clock.
CREATE TABLE pusher (
    id      bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner   bytea   NOT NULL,        -- hash of the person
    pushkey bytea   NOT NULL,        -- hash
    app_id  text    NOT NULL,
    gateway bytea   NOT NULL,        -- hash of data.url
    session bytea,                   -- hash of the person and the session that registered it first
    device  bytea,                   -- sealed: the session itself
    body    bytea   NOT NULL,        -- sealed: everything else
    created bigint  NOT NULL,
    updated bigint  NOT NULL         -- rises with every registration
) WITH (fillfactor = 80);            -- an update changes no index: let it stay on its page
ALTER TABLE pusher ALTER COLUMN body SET STORAGE EXTERNAL; -- sealed bytes do not compress

-- Also finds all of a person and all of a person's pushkey.
CREATE UNIQUE INDEX pusher_key ON pusher (owner, pushkey, app_id);
CREATE INDEX pusher_pushkey ON pusher (pushkey, app_id);

-- Explicit choices only. Everything else has its configured default.
CREATE TABLE channel_choice (
    pusher  bigint NOT NULL REFERENCES pusher (id) ON DELETE CASCADE,
    channel text   NOT NULL,
    status  text   NOT NULL,
    PRIMARY KEY (pusher, channel)
);

-- The newest generation of a pusher's key chain.
CREATE TABLE month_key (
    pusher bigint  PRIMARY KEY REFERENCES pusher (id) ON DELETE CASCADE,
    month  integer NOT NULL,         -- of the generation: year * 12 + month - 1
    body   bytea   NOT NULL          -- sealed: key identifier and keys
);

-- +goose Down
DROP TABLE month_key;
DROP TABLE channel_choice;
DROP TABLE pusher;
