-- What the program encrypted after the migration before this one.
ALTER TABLE users DROP COLUMN open_display_name;
ALTER TABLE users DROP COLUMN open_email;
ALTER TABLE users DROP COLUMN open_mobile;

-- The sessions refer to the renamed table; dropping that would end them.
CREATE TABLE new_console_sessions (
    session_id   TEXT    NOT NULL PRIMARY KEY,
    operator_id  TEXT    NOT NULL REFERENCES console_users ON DELETE CASCADE,
    token_hash   BLOB    NOT NULL UNIQUE,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO new_console_sessions SELECT * FROM console_sessions;
DROP TABLE console_sessions;
ALTER TABLE new_console_sessions RENAME TO console_sessions;

CREATE INDEX console_sessions_operator ON console_sessions (operator_id);

DROP TABLE open_console_users;
DROP TABLE open_login_failures;
