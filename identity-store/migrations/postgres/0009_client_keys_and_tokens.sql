-- The public keys of a client that proves itself by assertions: a JWK set (RFC 7517 §5), and no secret then.
ALTER TABLE oauth_clients ADD COLUMN jwks TEXT;

-- Client assertions that were used, until they are over by themselves (RFC 7523 §3).
CREATE TABLE used_assertions (
    tenant_id        TEXT COLLATE "C" NOT NULL,
    client_id        TEXT COLLATE "C" NOT NULL,
    assertion_sha256 BYTEA  NOT NULL,
    expires_at       BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, client_id, assertion_sha256)
);

CREATE INDEX used_assertions_expires_at ON used_assertions (expires_at);

-- Access tokens that were revoked, until they are over by themselves (RFC 7009).
CREATE TABLE revoked_tokens (
    tenant_id  TEXT COLLATE "C" NOT NULL,
    jti        TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, jti)
);

CREATE INDEX revoked_tokens_expires_at ON revoked_tokens (expires_at);
