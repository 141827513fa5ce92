-- Erasures of users, which stay as tombstones: nobody is named by them.
CREATE TABLE erasures (
    tenant_id      TEXT COLLATE "C" NOT NULL,
    erasure_id     TEXT COLLATE "C" NOT NULL,
    -- The user's, by which a backup from before knows them.
    internal_id    TEXT COLLATE "C" NOT NULL,
    requested_at   BIGINT NOT NULL,
    -- When the palm server had answered for both palms.
    palm_server_at BIGINT,
    completed_at   BIGINT,
    receipt        TEXT,
    PRIMARY KEY (tenant_id, erasure_id)
);

CREATE UNIQUE INDEX erasures_user ON erasures (tenant_id, internal_id);
CREATE INDEX erasures_running ON erasures (requested_at, tenant_id, erasure_id)
    WHERE completed_at IS NULL;

-- The erasure that is under way: the user is gone for everybody else.
ALTER TABLE users ADD COLUMN erasure_id TEXT COLLATE "C";
CREATE UNIQUE INDEX users_erasure ON users (tenant_id, erasure_id) WHERE erasure_id IS NOT NULL;

-- What is to be erased with a user, or exported.
CREATE INDEX challenges_user ON challenges (tenant_id, user_id, created_at, challenge_id);
