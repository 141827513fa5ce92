-- A certificate revocation list names certificates by issuer and serial number (RFC 5280 §5.1.2.6).
ALTER TABLE revoked_cert_fingerprints ADD COLUMN serial BLOB NOT NULL DEFAULT x'';
ALTER TABLE revoked_cert_fingerprints ADD COLUMN ca_fingerprint BLOB NOT NULL DEFAULT x'';

UPDATE revoked_cert_fingerprints AS denied
SET serial = issued.serial, ca_fingerprint = issued.ca_fingerprint
FROM issued_certificates AS issued
WHERE issued.tbs_sha256 = denied.tbs_sha256;

-- A CA can be tainted; SQLite changes a CHECK by a new table.
CREATE TABLE new_platform_secrets (
    kind        TEXT    NOT NULL,
    -- The fingerprint of a certificate in hexadecimal; empty for a secret that is none.
    fingerprint TEXT    NOT NULL,
    position    INTEGER NOT NULL,
    state       TEXT    CHECK (state IN ('prepared', 'active', 'retiring', 'tainted', 'retired')),
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

INSERT INTO new_platform_secrets SELECT * FROM platform_secrets;
DROP TABLE platform_secrets;
ALTER TABLE new_platform_secrets RENAME TO platform_secrets;

CREATE UNIQUE INDEX platform_secrets_one_active_ca ON platform_secrets (kind)
    WHERE kind = 'platform_ca' AND state = 'active';
