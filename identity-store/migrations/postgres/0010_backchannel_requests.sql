-- Authentication requests of clients (OpenID CIBA Core 1.0), each answered by its challenge.
CREATE TABLE backchannel_requests (
    tenant_id        TEXT COLLATE "C" NOT NULL,
    challenge_id     TEXT COLLATE "C" NOT NULL,
    -- Of the auth_req_id.
    request_sha256   BYTEA  NOT NULL,
    -- How long the client is to wait between polls.
    interval_seconds BIGINT NOT NULL,
    polled_at        BIGINT,
    -- When its one token was given.
    granted_at       BIGINT,
    -- The challenge's.
    expires_at       BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, challenge_id),
    FOREIGN KEY (tenant_id, challenge_id) REFERENCES challenges
);

CREATE UNIQUE INDEX backchannel_requests_request ON backchannel_requests (tenant_id, request_sha256);
CREATE INDEX backchannel_requests_expires_at ON backchannel_requests (expires_at);
