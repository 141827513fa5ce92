-- After each `reference-server migrate`, as identity_owner in the database. Again changes nothing, in
-- one transaction: what is granted and revoked in between is nobody's right.

BEGIN;

DO $$
DECLARE
    name regclass;
BEGIN
    -- Rights to a partitioned table are rights to its partitions through it.
    FOR name IN
        SELECT oid FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO identity_server', name);
    END LOOP;
END $$;

-- The ledger only grows, a denial is not altered, nobody takes a sealed row out of the audit trail or alters
-- a sealed event, a secret that was made stays known, and archives and migrations are the owner's. The
-- sealer takes what it has sealed out of both intakes, and the purge denials and events that are over: both
-- delete.
REVOKE UPDATE, DELETE ON issued_certificates FROM identity_server;
REVOKE UPDATE ON revoked_cert_fingerprints FROM identity_server;
REVOKE UPDATE, DELETE ON named_secrets FROM identity_server;
REVOKE UPDATE ON audit_intake, outbox_intake FROM identity_server;
REVOKE UPDATE, DELETE ON audit_rows FROM identity_server;
REVOKE UPDATE ON outbox FROM identity_server;
REVOKE DELETE ON audit_chains, webhook_fan_out FROM identity_server;
-- A tombstone stays.
REVOKE DELETE ON erasures FROM identity_server;
REVOKE INSERT, UPDATE, DELETE ON audit_archives FROM identity_server;
GRANT UPDATE (retired) ON audit_archives TO identity_server;
REVOKE INSERT, UPDATE, DELETE ON _sqlx_migrations FROM identity_server;

-- Months of the audit trail are made, and dropped behind verified archives, by functions of the owner's.
GRANT EXECUTE ON FUNCTION prepare_audit_month(BIGINT), drop_audit_months(BIGINT) TO identity_server;
GRANT SELECT ON audit_rows_default TO identity_server;

COMMIT;
