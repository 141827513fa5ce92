-- What happened waits here until the sealer gives it its place; then it goes to audit_rows. Numbers
-- only order what waits at the same time.
CREATE TABLE audit_intake (
    position   INTEGER NOT NULL PRIMARY KEY,
    id         TEXT    NOT NULL,
    tenant_id  TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    actor_type TEXT    NOT NULL,
    actor_id   TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    outcome    TEXT    NOT NULL,
    severity   TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    request_id TEXT    NOT NULL,
    ip         TEXT,
    metadata   TEXT    NOT NULL
) STRICT;

INSERT INTO audit_intake
SELECT position, id, tenant_id, at, actor_type, actor_id, action, outcome, severity, subject,
       request_id, ip, metadata
FROM audit_rows WHERE chain_position IS NULL;
DELETE FROM audit_rows WHERE chain_position IS NULL;
DROP INDEX audit_rows_unsealed;

-- Where each chain ends, and the head that was signed last. tenant_id is '' in the platform's chain.
CREATE TABLE audit_chains (
    tenant_id     TEXT    NOT NULL PRIMARY KEY,
    length        INTEGER NOT NULL,
    hash          BLOB    NOT NULL,
    signed_length INTEGER NOT NULL DEFAULT 0,
    signed_hash   BLOB,
    signed_head   TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_chains_unsigned ON audit_chains (tenant_id) WHERE signed_length < length;

INSERT INTO audit_chains (tenant_id, length, hash)
SELECT row.tenant_id, row.chain_position, row.hash
FROM audit_rows row
WHERE NOT EXISTS (SELECT 1 FROM audit_rows later
                  WHERE later.tenant_id = row.tenant_id
                    AND later.chain_position > row.chain_position);

-- The manifests of archived pieces, each behind the one before it in its chain.
CREATE TABLE audit_archives (
    tenant_id       TEXT    NOT NULL,
    month           TEXT    NOT NULL,
    rows            INTEGER NOT NULL,
    first_id        TEXT    NOT NULL,
    last_id         TEXT    NOT NULL,
    previous_length INTEGER NOT NULL,
    previous_hash   BLOB    NOT NULL,
    length          INTEGER NOT NULL,
    hash            BLOB    NOT NULL,
    sha256          BLOB    NOT NULL,
    file_name       TEXT    NOT NULL,
    -- Whether its live rows were dropped.
    retired         INTEGER NOT NULL CHECK (retired IN (0, 1)),
    PRIMARY KEY (tenant_id, month)
) STRICT, WITHOUT ROWID;

-- As audit_intake, for outbox.
CREATE TABLE outbox_intake (
    position   INTEGER NOT NULL PRIMARY KEY,
    tenant_id  TEXT    NOT NULL,
    event_id   TEXT    NOT NULL,
    event_type TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    data       TEXT    NOT NULL
) STRICT;

-- One row: the sealer's turn, and how many events have their place.
CREATE TABLE audit_sealer (
    one             INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    outbox_position INTEGER NOT NULL
) STRICT;

INSERT INTO audit_sealer SELECT 1, coalesce(max(position), 0) FROM outbox;

-- One row: the expiry up to which denials were purged; NULL before the first time. A clock that is ahead
-- moves it on no faster than a few minutes in each.
CREATE TABLE denial_purge (
    one       INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    purged_to INTEGER
) STRICT;

INSERT INTO denial_purge VALUES (1, NULL);

-- The platform's own secrets that were made. One of them that has no row in platform_secrets is lost: it is
-- not made a second time.
CREATE TABLE named_secrets (
    name TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

INSERT INTO named_secrets SELECT kind FROM platform_secrets WHERE fingerprint = '';

-- The issuance ledger again, as a table with rowids: without them a row of this length takes a page beside
-- its own. fingerprint and tbs_sha256 are digests of bytes that hold the serial number, which is unique.
CREATE TABLE new_issued_certificates (
    tenant_id      TEXT    NOT NULL,
    device_id      TEXT    NOT NULL,
    serial         BLOB    NOT NULL,
    fingerprint    BLOB    NOT NULL,
    tbs_sha256     BLOB    NOT NULL,
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
) STRICT;

INSERT INTO new_issued_certificates SELECT * FROM issued_certificates;
DROP TABLE issued_certificates;
ALTER TABLE new_issued_certificates RENAME TO issued_certificates;

CREATE UNIQUE INDEX issued_certificates_serial ON issued_certificates (serial);

CREATE TRIGGER issued_certificates_are_kept BEFORE DELETE ON issued_certificates
BEGIN SELECT RAISE(ABORT, 'the issuance ledger is append-only'); END;
CREATE TRIGGER issued_certificates_are_final BEFORE UPDATE ON issued_certificates
BEGIN SELECT RAISE(ABORT, 'the issuance ledger is append-only'); END;

-- What the device was told of a sample that did not lead to the goal.
ALTER TABLE challenge_attempts ADD COLUMN reason_code TEXT;

-- For their purges.
CREATE INDEX console_sessions_expires_at ON console_sessions (expires_at);
CREATE INDEX login_failures_failed_at ON login_failures (failed_at);
