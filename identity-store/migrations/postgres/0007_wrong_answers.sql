-- What a session showed wrongly where it was asked for the password or a code again.
ALTER TABLE console_sessions ADD COLUMN failures BIGINT NOT NULL DEFAULT 0;

-- Wrong codes since the last good one.
ALTER TABLE console_totp ADD COLUMN wrong_codes BIGINT NOT NULL DEFAULT 0;
