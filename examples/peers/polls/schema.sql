-- What the look-ups of a poll read: the tables and indexes of identity-store, and a thousand
-- paired devices without open challenges.

CREATE TABLE tenants (
    tenant_id  TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    status     TEXT   NOT NULL CHECK (status IN ('active', 'suspended')),
    config     TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE devices (
    tenant_id          TEXT   NOT NULL REFERENCES tenants,
    device_id          TEXT   NOT NULL,
    name               TEXT   NOT NULL,
    location           TEXT,
    device_class       TEXT   NOT NULL,
    bound_product      TEXT,
    bound_action       TEXT,
    tags               TEXT   NOT NULL,
    status             TEXT   NOT NULL CHECK (status IN ('pending_pairing', 'paired', 'revoked')),
    info               TEXT   NOT NULL,
    pairing_code_hash  BYTEA  UNIQUE,
    pairing_expires_at BIGINT,
    active_serial      BYTEA,
    paired_at          BIGINT,
    revoked_at         BIGINT,
    revoked_by         TEXT,
    last_seen_at       BIGINT,
    created_at         BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, device_id)
);

CREATE TABLE challenges (
    tenant_id        TEXT   NOT NULL,
    challenge_id     TEXT   NOT NULL,
    kind             TEXT   NOT NULL,
    palm_type        TEXT,
    status           TEXT   NOT NULL,
    status_reason    TEXT,
    attempts_used    BIGINT NOT NULL,
    max_attempts     BIGINT NOT NULL,
    user_id          TEXT   NOT NULL,
    internal_user_id TEXT   NOT NULL,
    device_id        TEXT   NOT NULL,
    client_id        TEXT,
    context          TEXT   NOT NULL,
    metadata         TEXT   NOT NULL,
    display          TEXT,
    binding_message  TEXT,
    client_reference TEXT,
    nonce            TEXT   NOT NULL,
    scores           TEXT,
    receipt          TEXT,
    created_at       BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    completed_at     BIGINT,
    PRIMARY KEY (tenant_id, challenge_id)
);

CREATE INDEX challenges_open ON challenges (tenant_id, device_id, created_at)
    WHERE status IN ('pending', 'in_progress');

INSERT INTO tenants VALUES ('load', 'Load', 'active', '{}', 0);
INSERT INTO devices (tenant_id, device_id, name, device_class, tags, status, info, active_serial, paired_at, created_at)
SELECT 'load', 'dev_' || n, 'Load', 'personal_scanner', '{}', 'paired', '{"model": "load"}', uuid_send(gen_random_uuid()), 0, 0
FROM generate_series(1, 1000) AS n;
ANALYZE;
