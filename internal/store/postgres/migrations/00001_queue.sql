-- +goose Up

-- Unix microseconds of this database's clock, the only clock that leases and due times are compared with.
CREATE FUNCTION store_clock() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
    AS 'SELECT (extract(epoch FROM statement_timestamp()) * 1000000)::bigint';

-- Small facts of the store itself: key fingerprint, wrapped look-up key.
CREATE TABLE meta (
    name  text PRIMARY KEY,
    value bytea NOT NULL
);

-- Configured apps by number, so that a million rows do not repeat the name.
CREATE TABLE app (
    no       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app_id   text NOT NULL UNIQUE,
    settings bytea                    -- fingerprint of the settings last seen
);

-- The retry queue. Payloads live apart, so that moving a row to another time does not copy them.
CREATE SEQUENCE queue_id;
CREATE TABLE queue (
    id         bigint PRIMARY KEY,
    app        integer NOT NULL,
    device     bytea   NOT NULL,
    dedup      bytea,                 -- NULL for badge-only updates
    badge_only boolean NOT NULL,
    has_counts boolean NOT NULL,
    attempts   integer NOT NULL,
    stale_dead integer NOT NULL,
    accepted   bigint  NOT NULL,
    due        bigint  NOT NULL,
    deadline   bigint  NOT NULL       -- 0: superseded, to be counted as expired
) WITH (fillfactor = 90);
CREATE UNIQUE INDEX queue_dedup ON queue (dedup) WHERE dedup IS NOT NULL;
CREATE INDEX queue_of_device ON queue (device, due, id);
CREATE INDEX queue_of_app ON queue (app, id);
CREATE INDEX queue_deadline ON queue (deadline);
CREATE INDEX queue_badge ON queue (device, id) WHERE badge_only;

CREATE TABLE payload (
    id   bigint PRIMARY KEY,          -- of the queue row
    body bytea NOT NULL               -- sealed
) WITH (toast_tuple_target = 8160);   -- notifications are a few KB: keep them in one piece
ALTER TABLE payload ALTER COLUMN body SET STORAGE EXTERNAL; -- sealed bytes do not compress

-- One line per device with rows: its lock, and what a claim looks for.
CREATE TABLE queue_device (
    device bytea   NOT NULL,
    app    integer NOT NULL,
    held   integer NOT NULL,          -- rows in flight
    due    bigint  NOT NULL,          -- with none in flight: not later than the first waiting row
    PRIMARY KEY (device, app)
) WITH (fillfactor = 70);
CREATE INDEX queue_device_due ON queue_device (app, due) WHERE held = 0;

-- Rows in flight. Those of a claim are one per device whatever happens; the first attempts of requests may be more.
CREATE TABLE queue_lease (
    id      bigint  PRIMARY KEY,
    device  bytea   NOT NULL,
    app     integer NOT NULL,
    lease   bigint  NOT NULL,
    until   bigint  NOT NULL,
    claimed boolean NOT NULL
);
CREATE UNIQUE INDEX queue_lease_device ON queue_lease (device) WHERE claimed;
CREATE INDEX queue_lease_until ON queue_lease (until);

-- Rows per app, as changes that are added up: nobody waits for a counter.
CREATE TABLE queue_count (
    id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app   integer NOT NULL,
    delta bigint  NOT NULL
);

-- Dead pushkeys. Removed entries stay as a mark (cleared) until they are pruned, so that other nodes learn of them.
CREATE SEQUENCE ledger_seq;
CREATE TABLE ledger (
    device   bytea   PRIMARY KEY,
    app      integer NOT NULL,
    since    bigint  NOT NULL,
    guarded  boolean NOT NULL,
    cleared  boolean NOT NULL,
    recorded bigint  NOT NULL,
    seq      bigint  NOT NULL UNIQUE
);
CREATE INDEX ledger_recorded ON ledger (recorded);
CREATE INDEX ledger_of_app ON ledger (app, seq) WHERE NOT cleared;

-- +goose Down
DROP TABLE ledger;
DROP SEQUENCE ledger_seq;
DROP TABLE queue_count;
DROP TABLE queue_lease;
DROP TABLE queue_device;
DROP TABLE payload;
DROP TABLE queue;
DROP SEQUENCE queue_id;
DROP TABLE app;
DROP TABLE meta;
DROP FUNCTION store_clock();
