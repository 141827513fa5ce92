-- Times are milliseconds since the Unix epoch. Digests and serial numbers are raw bytes. Documents are
-- JSON text. Ids sort by their bytes, as they do everywhere else. Every key begins with tenant_id; the
-- global look-ups are the unique indexes on pairing_code_hash, client_id, email_digest, token_hash and
-- serial.

CREATE TABLE tenants (
    tenant_id  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('active', 'suspended')),
    config     TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE devices (
    tenant_id          TEXT COLLATE "C" NOT NULL REFERENCES tenants,
    device_id          TEXT COLLATE "C" NOT NULL,
    name               TEXT NOT NULL,
    location           TEXT,
    device_class       TEXT NOT NULL,
    bound_product      TEXT,
    bound_action       TEXT,
    tags               TEXT NOT NULL,
    -- 'expired' is not stored: it is 'pending_pairing' after pairing_expires_at.
    status             TEXT NOT NULL CHECK (status IN ('pending_pairing', 'paired', 'revoked')),
    info               TEXT NOT NULL,
    -- Kept after the code is spent, for as long as the same key may fetch its certificate again.
    pairing_code_hash  BYTEA UNIQUE,
    pairing_expires_at BIGINT,
    active_serial      BYTEA,
    paired_at          BIGINT,
    revoked_at         BIGINT,
    revoked_by         TEXT,
    last_seen_at       BIGINT,
    created_at         BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, device_id)
-- Room on each page for a row's next version: last_seen_at changes all the time, and in no index.
) WITH (fillfactor = 85);

CREATE INDEX devices_newest ON devices (tenant_id, created_at DESC, device_id DESC);

-- The issuance ledger. Rows are never changed or deleted. fingerprint and tbs_sha256 are digests of bytes
-- that hold the serial number, which is unique.
CREATE TABLE issued_certificates (
    tenant_id      TEXT COLLATE "C" NOT NULL,
    device_id      TEXT COLLATE "C" NOT NULL,
    serial         BYTEA NOT NULL,
    fingerprint    BYTEA NOT NULL,
    tbs_sha256     BYTEA NOT NULL,
    spki_sha256    BYTEA NOT NULL UNIQUE,
    ca_fingerprint BYTEA NOT NULL,
    profile        TEXT NOT NULL,
    purpose        TEXT NOT NULL CHECK (purpose IN ('pairing', 'renewal')),
    not_before     BIGINT NOT NULL,
    not_after      BIGINT NOT NULL,
    pem            TEXT NOT NULL,
    request_id     TEXT NOT NULL,
    issued_at      BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, device_id, serial)
);

CREATE UNIQUE INDEX issued_certificates_serial ON issued_certificates (serial);

CREATE FUNCTION issued_certificates_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the issuance ledger is append-only'; END $$;
CREATE TRIGGER issued_certificates_are_kept
    BEFORE DELETE OR UPDATE OR TRUNCATE ON issued_certificates
    FOR EACH STATEMENT EXECUTE FUNCTION issued_certificates_are_append_only();

CREATE TABLE revoked_cert_fingerprints (
    sequence    BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id   TEXT COLLATE "C" NOT NULL,
    device_id   TEXT COLLATE "C" NOT NULL,
    fingerprint BYTEA NOT NULL,
    tbs_sha256  BYTEA NOT NULL UNIQUE,
    reason      TEXT NOT NULL CHECK (reason IN ('revoked', 'renewed', 'replaced')),
    revoked_at  BIGINT NOT NULL,
    revoked_by  TEXT NOT NULL,
    not_after   BIGINT NOT NULL,
    serial         BYTEA NOT NULL,
    ca_fingerprint BYTEA NOT NULL,
    -- The transaction that denied it. A sequence number says nothing about the order of commits; what
    -- was in flight at one read is told by the transactions that were.
    xact        BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text::bigint)
);

CREATE INDEX revoked_cert_fingerprints_feed ON revoked_cert_fingerprints (xact, sequence);

CREATE INDEX revoked_cert_fingerprints_not_after ON revoked_cert_fingerprints (not_after);

-- One row: the expiry up to which denials were purged; NULL before the first time. A clock that is ahead
-- moves it on no faster than a few minutes in each.
CREATE TABLE denial_purge (
    one       BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    purged_to BIGINT
);

INSERT INTO denial_purge VALUES (1, NULL);

CREATE TABLE users (
    tenant_id            TEXT COLLATE "C" NOT NULL REFERENCES tenants,
    user_id              TEXT COLLATE "C" NOT NULL,
    internal_id          TEXT COLLATE "C" NOT NULL UNIQUE,
    -- Encrypted.
    display_name         BYTEA,
    email                BYTEA,
    mobile               BYTEA,
    suspended            BOOLEAN NOT NULL,
    consent_status       TEXT NOT NULL CHECK (consent_status IN ('none', 'granted', 'withdrawn')),
    kyc_status           TEXT NOT NULL CHECK (kyc_status IN ('none', 'pending', 'verified', 'failed')),
    kyc_provider         TEXT,
    kyc_level            TEXT,
    palm_policy          TEXT NOT NULL,
    consecutive_failures BIGINT NOT NULL,
    last_failure_at      BIGINT,
    created_at           BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
-- As above: each verification counts or forgets failures.
) WITH (fillfactor = 85);

CREATE INDEX users_newest ON users (tenant_id, created_at DESC, internal_id DESC);

CREATE TABLE palms (
    tenant_id   TEXT COLLATE "C" NOT NULL,
    user_id     TEXT COLLATE "C" NOT NULL,
    palm_type   TEXT COLLATE "C" NOT NULL CHECK (palm_type IN ('left', 'right')),
    palm_id     BIGINT NOT NULL,
    device_id   TEXT COLLATE "C" NOT NULL,
    enrolled_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, user_id, palm_type),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users
);

-- Templates that are still to be erased at the palm server, if they are there at all.
CREATE TABLE palm_erasures (
    tenant_id    TEXT COLLATE "C" NOT NULL,
    user_id      TEXT COLLATE "C" NOT NULL,
    palm_type    TEXT COLLATE "C" NOT NULL CHECK (palm_type IN ('left', 'right')),
    requested_at BIGINT NOT NULL,
    -- Until when somebody is erasing the palm, and nobody enrols it.
    claimed_until BIGINT,
    PRIMARY KEY (tenant_id, user_id, palm_type),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users
);

CREATE INDEX palm_erasures_oldest ON palm_erasures (requested_at);

CREATE TABLE consents (
    tenant_id    TEXT COLLATE "C" NOT NULL,
    user_id      TEXT COLLATE "C" NOT NULL,
    position     BIGINT NOT NULL,
    recorded_at  BIGINT NOT NULL,
    version      TEXT NOT NULL,
    purposes     TEXT NOT NULL,
    granted      BOOLEAN NOT NULL,
    method       TEXT NOT NULL,
    withdrawn_at BIGINT,
    PRIMARY KEY (tenant_id, user_id, position),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users
);

CREATE TABLE challenges (
    tenant_id        TEXT COLLATE "C" NOT NULL,
    challenge_id     TEXT COLLATE "C" NOT NULL,
    kind             TEXT COLLATE "C" NOT NULL CHECK (kind IN ('verify', 'enroll')),
    palm_type        TEXT COLLATE "C",
    status           TEXT NOT NULL,
    status_reason    TEXT,
    attempts_used    BIGINT NOT NULL,
    max_attempts     BIGINT NOT NULL,
    user_id          TEXT COLLATE "C" NOT NULL,
    internal_user_id TEXT NOT NULL,
    device_id        TEXT COLLATE "C" NOT NULL,
    -- NULL when a console user asked.
    client_id        TEXT COLLATE "C",
    context          TEXT NOT NULL,
    metadata         TEXT NOT NULL,
    display          TEXT,
    binding_message  TEXT,
    client_reference TEXT,
    nonce            TEXT NOT NULL,
    scores           TEXT,
    receipt          TEXT,
    created_at       BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    completed_at     BIGINT,
    PRIMARY KEY (tenant_id, challenge_id)
);

CREATE INDEX challenges_newest ON challenges (tenant_id, created_at DESC, challenge_id DESC);
CREATE INDEX challenges_open ON challenges (tenant_id, device_id, created_at)
    WHERE status IN ('pending', 'in_progress');
CREATE INDEX challenges_open_of_user ON challenges (tenant_id, user_id, created_at)
    WHERE status IN ('pending', 'in_progress');
CREATE INDEX challenges_overdue ON challenges (expires_at)
    WHERE status IN ('pending', 'in_progress');

CREATE TABLE challenge_attempts (
    tenant_id         TEXT COLLATE "C" NOT NULL,
    challenge_id      TEXT COLLATE "C" NOT NULL,
    number            BIGINT NOT NULL,
    sample_digest     BYTEA NOT NULL,
    started_at        BIGINT NOT NULL,
    lease_until       BIGINT NOT NULL,
    -- NULL while it is being decided.
    finished_at       BIGINT,
    -- Whether the palm server decided on the sample: then it is never decided on again.
    decided           BOOLEAN NOT NULL,
    -- Whether the palm server may have enrolled the palm without our knowing.
    may_have_happened BOOLEAN NOT NULL,
    vendor_request_id TEXT,
    policy_version    TEXT,
    -- What the device was told of a sample that did not lead to the goal.
    reason_code       TEXT,
    PRIMARY KEY (tenant_id, challenge_id, number),
    FOREIGN KEY (tenant_id, challenge_id) REFERENCES challenges
);

CREATE INDEX challenge_attempts_decided ON challenge_attempts (tenant_id, sample_digest)
    WHERE decided;
CREATE INDEX challenge_attempts_under_way ON challenge_attempts (tenant_id, challenge_id)
    WHERE finished_at IS NULL;

CREATE TABLE oauth_clients (
    tenant_id  TEXT COLLATE "C" NOT NULL REFERENCES tenants,
    client_id  TEXT COLLATE "C" NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    scopes     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, client_id)
);

CREATE TABLE oauth_client_secrets (
    tenant_id   TEXT COLLATE "C" NOT NULL,
    client_id   TEXT COLLATE "C" NOT NULL,
    position    BIGINT NOT NULL,
    secret_hash BYTEA NOT NULL,
    expires_at  BIGINT,
    PRIMARY KEY (tenant_id, client_id, position),
    FOREIGN KEY (tenant_id, client_id) REFERENCES oauth_clients ON DELETE CASCADE
);

-- Console users stand above tenants: a platform administrator has none.
CREATE TABLE console_users (
    operator_id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id            TEXT COLLATE "C" REFERENCES tenants,
    -- Encrypted.
    email                BYTEA   NOT NULL,
    -- HMAC-SHA-256 of the address in canonical form.
    email_digest         BYTEA   NOT NULL UNIQUE,
    role                 TEXT NOT NULL CHECK (role IN ('platform_admin', 'tenant_admin', 'tenant_operator')),
    password_hash        TEXT NOT NULL,
    must_change_password BOOLEAN NOT NULL,
    created_at           BIGINT NOT NULL,
    CHECK ((role = 'platform_admin') = (tenant_id IS NULL))
);

CREATE TABLE console_sessions (
    session_id   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    operator_id  TEXT COLLATE "C" NOT NULL REFERENCES console_users ON DELETE CASCADE,
    token_hash   BYTEA NOT NULL UNIQUE,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
);

CREATE INDEX console_sessions_operator ON console_sessions (operator_id);
CREATE INDEX console_sessions_expires_at ON console_sessions (expires_at);

CREATE TABLE login_failures (
    email_digest BYTEA  NOT NULL,
    failed_at    BIGINT NOT NULL
);

CREATE INDEX login_failures_email_digest ON login_failures (email_digest, failed_at);
CREATE INDEX login_failures_failed_at ON login_failures (failed_at);

-- The data keys that encrypted here, so that a process with another is known before it writes.
CREATE TABLE data_keys (
    key_id    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    -- Nothing, encrypted under that key.
    key_check BYTEA NOT NULL
);

CREATE TABLE platform_secrets (
    kind        TEXT COLLATE "C" NOT NULL,
    -- The fingerprint of a certificate in hexadecimal; empty for a secret that is none.
    fingerprint TEXT COLLATE "C" NOT NULL,
    position    BIGINT NOT NULL,
    state       TEXT CHECK (state IN ('prepared', 'active', 'retiring', 'tainted', 'retired')),
    cert_pem    TEXT,
    -- Encrypted.
    secret      BYTEA NOT NULL,
    not_after   BIGINT,
    uploaded_by TEXT NOT NULL,
    created_at  BIGINT,
    -- The smallest threshold before the expiry that an alert was sent for.
    last_alert_threshold_days BIGINT,
    PRIMARY KEY (kind, fingerprint)
);

CREATE UNIQUE INDEX platform_secrets_one_active_ca ON platform_secrets (kind)
    WHERE kind = 'platform_ca' AND state = 'active';

-- The platform's own secrets that were made. One of them that has no row in platform_secrets is lost: it is
-- not made a second time.
CREATE TABLE named_secrets (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY
);

CREATE TABLE idempotent_answers (
    request_key BYTEA NOT NULL PRIMARY KEY,
    body_sha256 BYTEA NOT NULL,
    lease_until BIGINT NOT NULL,
    keep_until  BIGINT NOT NULL,
    -- NULL while the first request is running.
    status      BIGINT,
    -- Encrypted.
    body        BYTEA
);

CREATE INDEX idempotent_answers_keep_until ON idempotent_answers (keep_until);

-- What happened waits here until the sealer gives it its place; then it goes to audit_rows. A number
-- is taken when the row is written, and says nothing about when it became visible. tenant_id is '' in
-- the platform's chain, here and below.
CREATE TABLE audit_intake (
    position   BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         TEXT COLLATE "C" NOT NULL,
    tenant_id  TEXT COLLATE "C" NOT NULL,
    at         BIGINT NOT NULL,
    actor_type TEXT NOT NULL,
    actor_id   TEXT NOT NULL,
    action     TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    severity   TEXT NOT NULL,
    subject    TEXT NOT NULL,
    request_id TEXT NOT NULL,
    ip         TEXT,
    metadata   TEXT NOT NULL
);

-- A row stays in the partition of the month in which it happened. A chain is in the order of sealing,
-- so that its places are no partition's to keep unique: the sealer's one turn does. Rows of a month
-- that nobody made a partition for, or of a clock that is off, lie in audit_rows_default.
CREATE TABLE audit_rows (
    tenant_id      TEXT COLLATE "C" NOT NULL,
    chain_position BIGINT NOT NULL,
    id             TEXT COLLATE "C" NOT NULL,
    at             BIGINT NOT NULL,
    actor_type     TEXT NOT NULL,
    actor_id       TEXT NOT NULL,
    action         TEXT NOT NULL,
    outcome        TEXT NOT NULL,
    severity       TEXT NOT NULL,
    subject        TEXT NOT NULL,
    request_id     TEXT NOT NULL,
    ip             TEXT,
    metadata       TEXT NOT NULL,
    prev_hash      BYTEA NOT NULL,
    hash           BYTEA NOT NULL
) PARTITION BY RANGE (at);

CREATE UNIQUE INDEX audit_rows_chain ON audit_rows (tenant_id, chain_position, at);
CREATE TABLE audit_rows_default PARTITION OF audit_rows DEFAULT;

-- Makes the partition of the month that begins at starts, unless it is there, and moves rows of it
-- there from the default one. It runs as the schema's owner, for a server that may not change the schema.
CREATE FUNCTION prepare_audit_month(starts BIGINT) RETURNS VOID
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '5s' AS $$
DECLARE
    month TIMESTAMP := date_trunc('month', to_timestamp(starts / 1000) AT TIME ZONE 'UTC');
    partition TEXT := to_char(month, '"audit_rows_"YYYY_MM');
    first BIGINT := extract(epoch FROM month)::BIGINT * 1000;
    beyond BIGINT := extract(epoch FROM month + INTERVAL '1 month')::BIGINT * 1000;
BEGIN
    IF to_regclass(partition) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE audit_rows INCLUDING ALL)', partition);
    EXECUTE format('WITH strays AS (DELETE FROM audit_rows_default WHERE at >= %s AND at < %s
                                    RETURNING *)
                    INSERT INTO %I SELECT * FROM strays', first, beyond, partition);
    EXECUTE format('ALTER TABLE audit_rows ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                   partition, first, beyond);
END $$;

-- Drops all rows that happened before ends, the first moment of a month that has begun: partitions
-- whole, rows in the default one singly. A manifest, which stays, has to speak of each: of the last one
-- of each chain, which is found by the index, however many there are. Chains are found in the rows
-- themselves: audit_chains is the caller's to change.
CREATE FUNCTION drop_audit_months(ends BIGINT) RETURNS VOID
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '5s' AS $$
DECLARE
    month TIMESTAMP := date_trunc('month', to_timestamp(ends / 1000) AT TIME ZONE 'UTC');
    last TEXT := to_char(month - INTERVAL '1 month', '"audit_rows_"YYYY_MM');
    partition TEXT;
    due RECORD;
BEGIN
    IF ends > extract(epoch FROM now()) * 1000 THEN
        RAISE EXCEPTION 'audit rows of a month that is not over are not dropped';
    END IF;
    IF ends <> extract(epoch FROM month)::BIGINT * 1000 THEN
        RAISE EXCEPTION 'audit rows are dropped up to the first moment of a month, which % is not', ends;
    END IF;
    FOR due IN
        WITH RECURSIVE chain AS (
            (SELECT tenant_id, chain_position FROM audit_rows WHERE at < ends
             ORDER BY tenant_id DESC, chain_position DESC LIMIT 1)
            UNION ALL
            SELECT other.* FROM chain, LATERAL
                (SELECT tenant_id, chain_position FROM audit_rows
                 WHERE tenant_id < chain.tenant_id AND at < ends
                 ORDER BY tenant_id DESC, chain_position DESC LIMIT 1) other)
        SELECT tenant_id, chain_position AS place FROM chain
    LOOP
        IF NOT EXISTS (SELECT FROM audit_archives archive
                       WHERE archive.tenant_id = due.tenant_id AND archive.length >= due.place) THEN
            RAISE EXCEPTION 'audit rows that no archive holds are not dropped';
        END IF;
    END LOOP;
    FOR partition IN
        SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = 'audit_rows'::regclass
          AND child.relname ~ '^audit_rows_[0-9]{4}_[0-9]{2}$'
          AND child.relname::TEXT COLLATE "C" <= last COLLATE "C"
    LOOP
        EXECUTE format('DROP TABLE %I', partition);
    END LOOP;
    DELETE FROM audit_rows WHERE at < ends;
END $$;

-- Both run as the schema's owner: no name in them may find what their caller made.
DO $$
DECLARE
    name REGPROCEDURE;
BEGIN
    FOREACH name IN ARRAY ARRAY['prepare_audit_month(BIGINT)', 'drop_audit_months(BIGINT)']::REGPROCEDURE[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp',
                       name, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', name);
    END LOOP;
END $$;

-- Where each chain ends, and the head that was signed last.
CREATE TABLE audit_chains (
    tenant_id     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    length        BIGINT NOT NULL,
    hash          BYTEA NOT NULL,
    signed_length BIGINT NOT NULL DEFAULT 0,
    signed_hash   BYTEA,
    signed_head   TEXT
);

CREATE INDEX audit_chains_unsigned ON audit_chains (tenant_id) WHERE signed_length < length;

-- The manifests of archived pieces, each behind the one before it in its chain.
CREATE TABLE audit_archives (
    tenant_id       TEXT COLLATE "C" NOT NULL,
    month           TEXT NOT NULL,
    rows            BIGINT NOT NULL,
    first_id        TEXT NOT NULL,
    last_id         TEXT NOT NULL,
    previous_length BIGINT NOT NULL,
    previous_hash   BYTEA NOT NULL,
    length          BIGINT NOT NULL,
    hash            BYTEA NOT NULL,
    sha256          BYTEA NOT NULL,
    file_name       TEXT NOT NULL,
    -- Whether its live rows were dropped.
    retired         BOOLEAN NOT NULL,
    PRIMARY KEY (tenant_id, month)
);

-- As audit_intake, for outbox.
CREATE TABLE outbox_intake (
    position   BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id  TEXT COLLATE "C" NOT NULL,
    event_id   TEXT COLLATE "C" NOT NULL,
    event_type TEXT NOT NULL,
    subject    TEXT COLLATE "C" NOT NULL,
    at         BIGINT NOT NULL,
    data       TEXT NOT NULL
);

CREATE TABLE outbox (
    position   BIGINT NOT NULL PRIMARY KEY,
    tenant_id  TEXT COLLATE "C" NOT NULL,
    event_id   TEXT COLLATE "C" NOT NULL UNIQUE,
    event_type TEXT NOT NULL,
    subject    TEXT COLLATE "C" NOT NULL,
    sequence   BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    data       TEXT NOT NULL
);

CREATE UNIQUE INDEX outbox_sequence ON outbox (tenant_id, subject, sequence);

-- One row: the sealer's turn, and how many events have their place.
CREATE TABLE audit_sealer (
    one             BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    outbox_position BIGINT NOT NULL
);

INSERT INTO audit_sealer VALUES (1, 0);

-- Work that is done once, however many replicas there are. The holder of a lease that was given back
-- stays, with lease_until 0.
CREATE TABLE leases (
    name        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder      TEXT COLLATE "C" NOT NULL,
    -- How often the holder changed.
    fence       BIGINT NOT NULL,
    renewed_at  BIGINT NOT NULL,
    lease_until BIGINT NOT NULL
);

-- A key is the digest of a limit's name and of who is limited. Unlogged: empty after a crash, and not
-- there on a standby until it is promoted.
CREATE UNLOGGED TABLE rate_limit_buckets (
    bucket  BYTEA NOT NULL PRIMARY KEY,
    full_at BIGINT NOT NULL
);
