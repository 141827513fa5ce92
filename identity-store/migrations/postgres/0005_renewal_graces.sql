-- Certificates that their devices' active ones superseded, and that may repeat that renewal until the active one is
-- first used. A superseded certificate leaves this table for revoked_cert_fingerprints.
CREATE TABLE renewal_graces (
    tenant_id             TEXT COLLATE "C" NOT NULL,
    device_id             TEXT COLLATE "C" NOT NULL,
    superseded_serial     BYTEA NOT NULL,
    superseded_tbs_sha256 BYTEA NOT NULL,
    ends_at               BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, device_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES devices
);

CREATE INDEX renewal_graces_ends_at ON renewal_graces (ends_at);
