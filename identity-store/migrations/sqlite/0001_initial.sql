-- Times are milliseconds since the Unix epoch. Digests and serial numbers are raw bytes. Documents are
-- JSON text. Every key begins with tenant_id; the global look-ups are the unique indexes on
-- pairing_code_hash, client_id, email, token_hash and serial.

CREATE TABLE tenants (
    tenant_id  TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    status     TEXT    NOT NULL CHECK (status IN ('active', 'suspended')),
    config     TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE devices (
    tenant_id          TEXT    NOT NULL REFERENCES tenants,
    device_id          TEXT    NOT NULL,
    name               TEXT    NOT NULL,
    location           TEXT,
    device_class       TEXT    NOT NULL,
    bound_product      TEXT,
    bound_action       TEXT,
    tags               TEXT    NOT NULL,
    -- 'expired' is not stored: it is 'pending_pairing' after pairing_expires_at.
    status             TEXT    NOT NULL CHECK (status IN ('pending_pairing', 'paired', 'revoked')),
    info               TEXT    NOT NULL,
    -- Kept after the code is spent, for as long as the same key may fetch its certificate again.
    pairing_code_hash  BLOB    UNIQUE,
    pairing_expires_at INTEGER,
    active_serial      BLOB,
    paired_at          INTEGER,
    revoked_at         INTEGER,
    revoked_by         TEXT,
    last_seen_at       INTEGER,
    created_at         INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, device_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX devices_newest ON devices (tenant_id, created_at DESC, device_id DESC);

-- The issuance ledger. Rows are never changed or deleted.
CREATE TABLE issued_certificates (
    tenant_id      TEXT    NOT NULL,
    device_id      TEXT    NOT NULL,
    serial         BLOB    NOT NULL,
    fingerprint    BLOB    NOT NULL UNIQUE,
    tbs_sha256     BLOB    NOT NULL UNIQUE,
    spki_sha256    BLOB    NOT NULL UNIQUE,
    ca_fingerprint BLOB    NOT NULL,
    profile        TEXT    NOT NULL,
    purpose        TEXT    NOT NULL CHECK (purpose IN ('pairing', 'renewal')),
    not_before     INTEGER NOT NULL,
    not_after      INTEGER NOT NULL,
    pem            TEXT    NOT NULL,
    request_id     TEXT    NOT NULL,
    issued_at      INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, device_id, serial)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX issued_certificates_serial ON issued_certificates (serial);

CREATE TRIGGER issued_certificates_are_kept BEFORE DELETE ON issued_certificates
BEGIN SELECT RAISE(ABORT, 'the issuance ledger is append-only'); END;
CREATE TRIGGER issued_certificates_are_final BEFORE UPDATE ON issued_certificates
BEGIN SELECT RAISE(ABORT, 'the issuance ledger is append-only'); END;

CREATE TABLE revoked_cert_fingerprints (
    sequence    INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    tenant_id   TEXT    NOT NULL,
    device_id   TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL,
    tbs_sha256  BLOB    NOT NULL UNIQUE,
    reason      TEXT    NOT NULL CHECK (reason IN ('revoked', 'renewed', 'replaced')),
    revoked_at  INTEGER NOT NULL,
    revoked_by  TEXT    NOT NULL,
    not_after   INTEGER NOT NULL
) STRICT;

CREATE INDEX revoked_cert_fingerprints_not_after ON revoked_cert_fingerprints (not_after);

CREATE TABLE users (
    tenant_id            TEXT    NOT NULL REFERENCES tenants,
    user_id              TEXT    NOT NULL,
    internal_id          TEXT    NOT NULL UNIQUE,
    display_name         TEXT,
    email                TEXT,
    mobile               TEXT,
    suspended            INTEGER NOT NULL CHECK (suspended IN (0, 1)),
    consent_status       TEXT    NOT NULL CHECK (consent_status IN ('none', 'granted', 'withdrawn')),
    kyc_status           TEXT    NOT NULL CHECK (kyc_status IN ('none', 'pending', 'verified', 'failed')),
    kyc_provider         TEXT,
    kyc_level            TEXT,
    palm_policy          TEXT    NOT NULL,
    consecutive_failures INTEGER NOT NULL,
    last_failure_at      INTEGER,
    created_at           INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX users_newest ON users (tenant_id, created_at DESC, internal_id DESC);

CREATE TABLE palms (
    tenant_id   TEXT    NOT NULL,
    user_id     TEXT    NOT NULL,
    palm_type   TEXT    NOT NULL CHECK (palm_type IN ('left', 'right')),
    palm_id     INTEGER NOT NULL,
    device_id   TEXT    NOT NULL,
    enrolled_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, user_id, palm_type),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users
) STRICT, WITHOUT ROWID;

-- Templates that are still to be erased at the palm server, if they are there at all.
CREATE TABLE palm_erasures (
    tenant_id    TEXT    NOT NULL,
    user_id      TEXT    NOT NULL,
    palm_type    TEXT    NOT NULL CHECK (palm_type IN ('left', 'right')),
    requested_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, user_id, palm_type),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users
) STRICT, WITHOUT ROWID;

CREATE INDEX palm_erasures_oldest ON palm_erasures (requested_at);

CREATE TABLE consents (
    tenant_id    TEXT    NOT NULL,
    user_id      TEXT    NOT NULL,
    position     INTEGER NOT NULL,
    recorded_at  INTEGER NOT NULL,
    version      TEXT    NOT NULL,
    purposes     TEXT    NOT NULL,
    granted      INTEGER NOT NULL CHECK (granted IN (0, 1)),
    method       TEXT    NOT NULL,
    withdrawn_at INTEGER,
    PRIMARY KEY (tenant_id, user_id, position),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users
) STRICT, WITHOUT ROWID;

CREATE TABLE challenges (
    tenant_id        TEXT    NOT NULL,
    challenge_id     TEXT    NOT NULL,
    kind             TEXT    NOT NULL CHECK (kind IN ('verify', 'enroll')),
    palm_type        TEXT,
    status           TEXT    NOT NULL,
    status_reason    TEXT,
    attempts_used    INTEGER NOT NULL,
    max_attempts     INTEGER NOT NULL,
    user_id          TEXT    NOT NULL,
    internal_user_id TEXT    NOT NULL,
    device_id        TEXT    NOT NULL,
    -- NULL when a console user asked.
    client_id        TEXT,
    context          TEXT    NOT NULL,
    metadata         TEXT    NOT NULL,
    display          TEXT,
    binding_message  TEXT,
    client_reference TEXT,
    nonce            TEXT    NOT NULL,
    scores           TEXT,
    receipt          TEXT,
    created_at       INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    completed_at     INTEGER,
    PRIMARY KEY (tenant_id, challenge_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX challenges_newest ON challenges (tenant_id, created_at DESC, challenge_id DESC);
CREATE INDEX challenges_open ON challenges (tenant_id, device_id, created_at)
    WHERE status IN ('pending', 'in_progress');
CREATE INDEX challenges_open_of_user ON challenges (tenant_id, user_id, created_at)
    WHERE status IN ('pending', 'in_progress');
CREATE INDEX challenges_overdue ON challenges (expires_at)
    WHERE status IN ('pending', 'in_progress');

CREATE TABLE challenge_attempts (
    tenant_id         TEXT    NOT NULL,
    challenge_id      TEXT    NOT NULL,
    number            INTEGER NOT NULL,
    sample_digest     BLOB    NOT NULL,
    started_at        INTEGER NOT NULL,
    lease_until       INTEGER NOT NULL,
    -- NULL while it is being decided.
    finished_at       INTEGER,
    -- Whether the palm server decided on the sample: then it is never decided on again.
    decided           INTEGER NOT NULL CHECK (decided IN (0, 1)),
    -- Whether the palm server may have enrolled the palm without our knowing.
    may_have_happened INTEGER NOT NULL CHECK (may_have_happened IN (0, 1)),
    vendor_request_id TEXT,
    policy_version    TEXT,
    PRIMARY KEY (tenant_id, challenge_id, number),
    FOREIGN KEY (tenant_id, challenge_id) REFERENCES challenges
) STRICT, WITHOUT ROWID;

CREATE INDEX challenge_attempts_decided ON challenge_attempts (tenant_id, sample_digest)
    WHERE decided = 1;

CREATE TABLE oauth_clients (
    tenant_id  TEXT    NOT NULL REFERENCES tenants,
    client_id  TEXT    NOT NULL UNIQUE,
    name       TEXT    NOT NULL,
    scopes     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, client_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE oauth_client_secrets (
    tenant_id   TEXT    NOT NULL,
    client_id   TEXT    NOT NULL,
    position    INTEGER NOT NULL,
    secret_hash BLOB    NOT NULL,
    expires_at  INTEGER,
    PRIMARY KEY (tenant_id, client_id, position),
    FOREIGN KEY (tenant_id, client_id) REFERENCES oauth_clients ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Console users stand above tenants: a platform administrator has none.
CREATE TABLE console_users (
    operator_id          TEXT    NOT NULL PRIMARY KEY,
    tenant_id            TEXT    REFERENCES tenants,
    email                TEXT    NOT NULL UNIQUE,
    role                 TEXT    NOT NULL CHECK (role IN ('platform_admin', 'tenant_admin', 'tenant_operator')),
    password_hash        TEXT    NOT NULL,
    must_change_password INTEGER NOT NULL CHECK (must_change_password IN (0, 1)),
    created_at           INTEGER NOT NULL,
    CHECK ((role = 'platform_admin') = (tenant_id IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE console_sessions (
    session_id   TEXT    NOT NULL PRIMARY KEY,
    operator_id  TEXT    NOT NULL REFERENCES console_users ON DELETE CASCADE,
    token_hash   BLOB    NOT NULL UNIQUE,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX console_sessions_operator ON console_sessions (operator_id);

CREATE TABLE login_failures (
    email     TEXT    NOT NULL,
    failed_at INTEGER NOT NULL
) STRICT;

CREATE INDEX login_failures_email ON login_failures (email, failed_at);

CREATE TABLE platform_secrets (
    kind        TEXT    NOT NULL,
    -- The fingerprint of a certificate in hexadecimal; empty for a secret that is none.
    fingerprint TEXT    NOT NULL,
    position    INTEGER NOT NULL,
    state       TEXT    CHECK (state IN ('prepared', 'active', 'retiring', 'retired')),
    cert_pem    TEXT,
    -- Encrypted.
    secret      BLOB    NOT NULL,
    not_after   INTEGER,
    uploaded_by TEXT    NOT NULL,
    created_at  INTEGER,
    -- The smallest threshold before the expiry that an alert was sent for.
    last_alert_threshold_days INTEGER,
    PRIMARY KEY (kind, fingerprint)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX platform_secrets_one_active_ca ON platform_secrets (kind)
    WHERE kind = 'platform_ca' AND state = 'active';

CREATE TABLE idempotent_answers (
    request_key BLOB    NOT NULL PRIMARY KEY,
    body_sha256 BLOB    NOT NULL,
    lease_until INTEGER NOT NULL,
    keep_until  INTEGER NOT NULL,
    -- NULL while the first request is running.
    status      INTEGER,
    -- Encrypted.
    body        BLOB
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotent_answers_keep_until ON idempotent_answers (keep_until);

-- tenant_id is '' in the platform's chain.
CREATE TABLE audit_rows (
    position       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id             TEXT    NOT NULL UNIQUE,
    tenant_id      TEXT    NOT NULL,
    chain_position INTEGER,
    at             INTEGER NOT NULL,
    actor_type     TEXT    NOT NULL,
    actor_id       TEXT    NOT NULL,
    action         TEXT    NOT NULL,
    outcome        TEXT    NOT NULL,
    severity       TEXT    NOT NULL,
    subject        TEXT    NOT NULL,
    request_id     TEXT    NOT NULL,
    ip             TEXT,
    metadata       TEXT    NOT NULL,
    prev_hash      BLOB,
    hash           BLOB
) STRICT;

CREATE UNIQUE INDEX audit_rows_chain ON audit_rows (tenant_id, chain_position)
    WHERE chain_position IS NOT NULL;
CREATE INDEX audit_rows_unsealed ON audit_rows (position) WHERE chain_position IS NULL;

CREATE TABLE outbox (
    position   INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    tenant_id  TEXT    NOT NULL,
    event_id   TEXT    NOT NULL UNIQUE,
    event_type TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    sequence   INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    data       TEXT    NOT NULL
) STRICT;

CREATE UNIQUE INDEX outbox_sequence ON outbox (tenant_id, subject, sequence);
