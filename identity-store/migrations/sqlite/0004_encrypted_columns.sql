-- Names, addresses and telephone numbers are encrypted. SQL cannot do that: between this migration and
-- the next the program writes what is in the open columns into the encrypted ones, in the same
-- transaction.

-- The keys that encrypted here, so that a process with another is known before it writes.
CREATE TABLE data_keys (
    key_id    TEXT NOT NULL PRIMARY KEY,
    -- Nothing, encrypted under that key.
    key_check BLOB NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE users RENAME COLUMN display_name TO open_display_name;
ALTER TABLE users RENAME COLUMN email TO open_email;
ALTER TABLE users RENAME COLUMN mobile TO open_mobile;
-- Encrypted.
ALTER TABLE users ADD COLUMN display_name BLOB;
ALTER TABLE users ADD COLUMN email BLOB;
ALTER TABLE users ADD COLUMN mobile BLOB;

ALTER TABLE console_users RENAME TO open_console_users;

-- Console users stand above tenants: a platform administrator has none.
CREATE TABLE console_users (
    operator_id          TEXT    NOT NULL PRIMARY KEY,
    tenant_id            TEXT    REFERENCES tenants,
    -- Encrypted.
    email                BLOB    NOT NULL,
    -- HMAC-SHA-256 of the address in canonical form.
    email_digest         BLOB    NOT NULL UNIQUE,
    role                 TEXT    NOT NULL CHECK (role IN ('platform_admin', 'tenant_admin', 'tenant_operator')),
    password_hash        TEXT    NOT NULL,
    must_change_password INTEGER NOT NULL CHECK (must_change_password IN (0, 1)),
    created_at           INTEGER NOT NULL,
    CHECK ((role = 'platform_admin') = (tenant_id IS NULL))
) STRICT, WITHOUT ROWID;

ALTER TABLE login_failures RENAME TO open_login_failures;

CREATE TABLE login_failures (
    email_digest BLOB    NOT NULL,
    failed_at    INTEGER NOT NULL
) STRICT;

CREATE INDEX login_failures_email_digest ON login_failures (email_digest, failed_at);
