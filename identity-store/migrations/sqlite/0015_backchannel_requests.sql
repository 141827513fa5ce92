-- Authentication requests of clients (OpenID CIBA Core 1.0), each answered by its challenge.
CREATE TABLE backchannel_requests (
    tenant_id        TEXT    NOT NULL,
    challenge_id     TEXT    NOT NULL,
    -- Of the auth_req_id.
    request_sha256   BLOB    NOT NULL,
    -- How long the client is to wait between polls.
    interval_seconds INTEGER NOT NULL,
    polled_at        INTEGER,
    -- When its one token was given.
    granted_at       INTEGER,
    -- The challenge's.
    expires_at       INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, challenge_id),
    FOREIGN KEY (tenant_id, challenge_id) REFERENCES challenges
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX backchannel_requests_request ON backchannel_requests (tenant_id, request_sha256);
CREATE INDEX backchannel_requests_expires_at ON backchannel_requests (expires_at);
