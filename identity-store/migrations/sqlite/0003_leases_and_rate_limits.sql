-- Work that is done once, however many replicas there are. The holder of a lease that was given back
-- stays, with lease_until 0.
CREATE TABLE leases (
    name        TEXT    NOT NULL PRIMARY KEY,
    holder      TEXT    NOT NULL,
    -- How often the holder changed.
    fence       INTEGER NOT NULL,
    renewed_at  INTEGER NOT NULL,
    lease_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A key is the digest of a limit's name and of who is limited.
CREATE TABLE rate_limit_buckets (
    bucket  BLOB    NOT NULL PRIMARY KEY,
    full_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Until when somebody is erasing the palm, and nobody enrols it.
ALTER TABLE palm_erasures ADD COLUMN claimed_until INTEGER;

CREATE INDEX challenge_attempts_under_way ON challenge_attempts (tenant_id, challenge_id)
    WHERE finished_at IS NULL;
