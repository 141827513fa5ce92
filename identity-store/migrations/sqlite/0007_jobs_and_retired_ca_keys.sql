-- Work that somebody asked for and that goes on after the answer, batch by batch.
CREATE TABLE jobs (
    -- Whose job it is: a tenant's, or the platform's with ''.
    tenant_id     TEXT    NOT NULL,
    job_id        TEXT    NOT NULL,
    kind          TEXT    NOT NULL,
    -- What it is done to: the id of a tenant, or a fingerprint in hexadecimal.
    target        TEXT    NOT NULL,
    reason        TEXT,
    status        TEXT    NOT NULL
        CHECK (status IN ('queued', 'running', 'succeeded', 'partially_failed', 'failed')),
    total         INTEGER NOT NULL,
    done          INTEGER NOT NULL,
    failed        INTEGER NOT NULL,
    -- The last device that was dealt with; '' before the first.
    behind_tenant TEXT    NOT NULL,
    behind_device TEXT    NOT NULL,
    asked_by      TEXT    NOT NULL,
    request_id    TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    ended_at      INTEGER,
    PRIMARY KEY (tenant_id, job_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX jobs_waiting ON jobs (created_at, job_id) WHERE status IN ('queued', 'running');

-- The devices of a CA.
CREATE INDEX issued_certificates_ca
    ON issued_certificates (ca_fingerprint, tenant_id, device_id, serial);

-- The key of a CA that issues nothing any more is deleted; SQLite takes NOT NULL away by a new table.
CREATE TABLE new_platform_secrets (
    kind        TEXT    NOT NULL,
    -- The fingerprint of a certificate in hexadecimal; empty for a secret that is none.
    fingerprint TEXT    NOT NULL,
    position    INTEGER NOT NULL,
    state       TEXT    CHECK (state IN ('prepared', 'active', 'retiring', 'tainted', 'retired')),
    cert_pem    TEXT,
    -- Encrypted. NULL is the key of a CA that was tainted or retired.
    secret      BLOB,
    not_after   INTEGER,
    uploaded_by TEXT    NOT NULL,
    created_at  INTEGER,
    -- The smallest threshold before the expiry that an alert was sent for.
    last_alert_threshold_days INTEGER,
    PRIMARY KEY (kind, fingerprint)
) STRICT, WITHOUT ROWID;

INSERT INTO new_platform_secrets
SELECT kind, fingerprint, position, state, cert_pem, secret, not_after, uploaded_by, created_at,
       last_alert_threshold_days
FROM platform_secrets;
DROP TABLE platform_secrets;
ALTER TABLE new_platform_secrets RENAME TO platform_secrets;

CREATE UNIQUE INDEX platform_secrets_one_active_ca ON platform_secrets (kind)
    WHERE kind = 'platform_ca' AND state = 'active';
