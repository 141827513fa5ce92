-- Where events are delivered. tenant_id is '' for the platform's. secrets is a JSON array, encrypted.
CREATE TABLE webhook_endpoints (
    tenant_id       TEXT    NOT NULL,
    endpoint_id     TEXT    NOT NULL,
    url             TEXT    NOT NULL,
    events          TEXT    NOT NULL,
    description     TEXT,
    secrets         BLOB    NOT NULL,
    -- NULL while events are delivered.
    disabled_reason TEXT    CHECK (disabled_reason IN ('gone', 'failing')),
    -- When the first try failed since one succeeded.
    failing_since   INTEGER,
    created_at      INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, endpoint_id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX webhook_endpoints_id ON webhook_endpoints (endpoint_id);

-- What an endpoint is to be told of. A claim counts up claims, and puts due_at off.
CREATE TABLE webhook_deliveries (
    tenant_id       TEXT    NOT NULL,
    delivery_id     TEXT    NOT NULL,
    endpoint_id     TEXT    NOT NULL,
    event_position  INTEGER NOT NULL,
    event_id        TEXT    NOT NULL,
    event_type      TEXT    NOT NULL,
    status          TEXT    NOT NULL CHECK (status IN ('pending', 'delivered', 'failed')),
    tries           INTEGER NOT NULL,
    claims          INTEGER NOT NULL,
    -- When it is to be tried; NULL once it has ended.
    due_at          INTEGER,
    tried_at        INTEGER,
    ended_at        INTEGER,
    response_status INTEGER,
    response_body   TEXT,
    error           TEXT,
    created_at      INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, delivery_id)
) STRICT, WITHOUT ROWID;

-- An endpoint is told of an event by one delivery.
CREATE UNIQUE INDEX webhook_deliveries_event ON webhook_deliveries (event_position, endpoint_id);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, due_at)
    WHERE status = 'pending';
CREATE INDEX webhook_deliveries_newest
    ON webhook_deliveries (tenant_id, endpoint_id, created_at, delivery_id);

-- One row: up to which place events have their deliveries, and the moment up to which they were purged, which a
-- clock that is ahead moves on no faster than a few minutes in each; NULL while there are none.
CREATE TABLE webhook_fan_out (
    one       INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    position  INTEGER NOT NULL,
    purged_to INTEGER
) STRICT;

INSERT INTO webhook_fan_out SELECT 1, outbox_position, NULL FROM audit_sealer;

-- The last number of a subject whose events were purged.
CREATE TABLE outbox_numbers (
    tenant_id TEXT    NOT NULL,
    subject   TEXT    NOT NULL,
    sequence  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, subject)
) STRICT, WITHOUT ROWID;

CREATE INDEX outbox_at ON outbox (tenant_id, at);
