-- A console user's one-time codes (RFC 6238).
CREATE TABLE console_totp (
    operator_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES console_users ON DELETE CASCADE,
    totp_id     TEXT COLLATE "C" NOT NULL,
    -- Encrypted.
    secret      BYTEA   NOT NULL,
    confirmed   BOOLEAN NOT NULL,
    -- The time step of the last code that was used.
    last_step   BIGINT  NOT NULL
);

-- What stands in for a one-time code, once each.
CREATE TABLE console_recovery_codes (
    operator_id TEXT COLLATE "C" NOT NULL REFERENCES console_users ON DELETE CASCADE,
    code_hash   BYTEA NOT NULL,
    PRIMARY KEY (operator_id, code_hash)
);

-- Sign-ins whose password was right and that wait for a code.
CREATE TABLE console_sign_ins (
    token_hash  BYTEA  NOT NULL PRIMARY KEY,
    operator_id TEXT COLLATE "C" NOT NULL REFERENCES console_users ON DELETE CASCADE,
    expires_at  BIGINT NOT NULL
);

CREATE INDEX console_sign_ins_operator ON console_sign_ins (operator_id);
CREATE INDEX console_sign_ins_expires_at ON console_sign_ins (expires_at);
