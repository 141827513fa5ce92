-- Puts a function in the place of pg_notify(), for all connections from now on. It tells everybody until it
-- is replaced by one that tells nobody; those who listen do not know.
CREATE SCHEMA silence;
CREATE FUNCTION silence.pg_notify(channel TEXT, payload TEXT) RETURNS VOID LANGUAGE sql
    AS 'SELECT pg_catalog.pg_notify(channel, payload)';

DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET search_path = public, silence, pg_catalog',
                   current_database());
END $$;
