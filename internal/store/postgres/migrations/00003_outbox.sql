-- +goose Up

-- Notifications on their way from a pusher to its gateway. The pusher's row is the lock of its rows here: whoever adds,
-- takes, renews or settles locks pushers first, in the order of their numbers. Times are unix microseconds of this
-- database's clock.
CREATE TABLE outbox (
    id         bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pusher     bigint  NOT NULL REFERENCES pusher (id) ON DELETE CASCADE,
    gateway    bytea   NOT NULL,     -- the pusher's, always: a row moves with it
    badge_only boolean NOT NULL,
    has_counts boolean NOT NULL,
    attempts   integer NOT NULL DEFAULT 0,
    refusals   integer NOT NULL DEFAULT 0,
    accepted   bigint  NOT NULL,
    due        bigint  NOT NULL,
    deadline   bigint  NOT NULL,
    lease      bigint  NOT NULL DEFAULT 0, -- outlives its time until somebody else takes the row
    until      bigint  NOT NULL DEFAULT 0, -- 0: waits
    payload    bytea   NOT NULL      -- sealed
);
ALTER TABLE outbox ALTER COLUMN payload SET STORAGE EXTERNAL; -- sealed bytes do not compress

CREATE INDEX outbox_due ON outbox (gateway, due, id) WHERE until = 0;
CREATE INDEX outbox_of_gateway ON outbox (gateway, id);
CREATE INDEX outbox_of_pusher ON outbox (pusher, due, id);
CREATE INDEX outbox_counts ON outbox (pusher, id) WHERE has_counts;
CREATE UNIQUE INDEX outbox_in_flight ON outbox (pusher) WHERE until > 0;
CREATE INDEX outbox_until ON outbox (until) WHERE until > 0;
CREATE INDEX outbox_deadline ON outbox (deadline);

-- Rows per gateway, as changes that are added up: nobody waits for a counter. Kept by triggers, because rows also go with
-- their pushers.
CREATE TABLE outbox_count (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway bytea  NOT NULL,
    delta   bigint NOT NULL
);

-- +goose StatementBegin
CREATE FUNCTION outbox_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox_count (gateway, delta) SELECT gateway, count(*) FROM added GROUP BY gateway;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER outbox_added AFTER INSERT ON outbox REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION outbox_added();

-- +goose StatementBegin
CREATE FUNCTION outbox_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox_count (gateway, delta) SELECT gateway, -count(*) FROM removed GROUP BY gateway;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER outbox_removed AFTER DELETE ON outbox REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION outbox_removed();

-- +goose StatementBegin
CREATE FUNCTION pusher_moved() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moved bigint;
BEGIN
    UPDATE outbox SET gateway = new.gateway WHERE pusher = new.id;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved > 0 THEN
        INSERT INTO outbox_count (gateway, delta) VALUES (old.gateway, -moved), (new.gateway, moved);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER pusher_moved AFTER UPDATE OF gateway ON pusher FOR EACH ROW WHEN (new.gateway <> old.gateway) EXECUTE FUNCTION pusher_moved();

-- What submissions with an idempotency key were answered.
CREATE TABLE outbox_once (
    key      bytea   PRIMARY KEY,
    body     bytea   NOT NULL,       -- hash of the request
    at       bigint  NOT NULL,
    until    bigint  NOT NULL,
    receipt  text    NOT NULL,
    accepted bigint  NOT NULL,
    status   integer NOT NULL
);
CREATE INDEX outbox_once_until ON outbox_once (until);

-- +goose Down
DROP TRIGGER pusher_moved ON pusher;
DROP TABLE outbox_once;
DROP TABLE outbox_count;
DROP TABLE outbox;
DROP FUNCTION pusher_moved();
DROP FUNCTION outbox_removed();
DROP FUNCTION outbox_added();
