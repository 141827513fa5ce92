-- Work that somebody asked for and that goes on after the answer, batch by batch.
CREATE TABLE jobs (
    -- Whose job it is: a tenant's, or the platform's with ''.
    tenant_id     TEXT COLLATE "C" NOT NULL,
    job_id        TEXT COLLATE "C" NOT NULL,
    kind          TEXT NOT NULL,
    -- What it is done to: the id of a tenant, or a fingerprint in hexadecimal.
    target        TEXT NOT NULL,
    reason        TEXT,
    status        TEXT NOT NULL
        CHECK (status IN ('queued', 'running', 'succeeded', 'partially_failed', 'failed')),
    total         BIGINT NOT NULL,
    done          BIGINT NOT NULL,
    failed        BIGINT NOT NULL,
    -- The last device that was dealt with; '' before the first.
    behind_tenant TEXT COLLATE "C" NOT NULL,
    behind_device TEXT COLLATE "C" NOT NULL,
    asked_by      TEXT NOT NULL,
    request_id    TEXT NOT NULL,
    created_at    BIGINT NOT NULL,
    ended_at      BIGINT,
    PRIMARY KEY (tenant_id, job_id)
);

CREATE INDEX jobs_waiting ON jobs (created_at, job_id) WHERE status IN ('queued', 'running');

-- The devices of a CA.
CREATE INDEX issued_certificates_ca
    ON issued_certificates (ca_fingerprint, tenant_id, device_id, serial);

-- The key of a CA that was tainted or retired is deleted.
ALTER TABLE platform_secrets ALTER COLUMN secret DROP NOT NULL;
