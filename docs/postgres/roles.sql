-- Once, as a superuser. Then give each role a password of its own (`\password identity_owner`).

-- Owns the schema: `reference-server migrate` runs as this one, and nothing else does.
CREATE ROLE identity_owner LOGIN;
-- The servers: they read and write rows, and change no table.
CREATE ROLE identity_server LOGIN;

CREATE DATABASE identity OWNER identity_owner ENCODING 'UTF8' TEMPLATE template0;
REVOKE TEMPORARY ON DATABASE identity FROM PUBLIC;
