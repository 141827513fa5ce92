-- The devices of a job that names them, as they were when it was asked for.
CREATE TABLE job_devices (
    tenant_id TEXT COLLATE "C" NOT NULL,
    job_id    TEXT COLLATE "C" NOT NULL,
    device_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, job_id, device_id),
    FOREIGN KEY (tenant_id, job_id) REFERENCES jobs (tenant_id, job_id) ON DELETE CASCADE
);

-- The tags that a job puts on devices or takes off, JSON.
ALTER TABLE jobs ADD COLUMN tags TEXT;
