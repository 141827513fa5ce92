-- A thousand paired devices without open challenges, in the reference server's schema.

INSERT INTO tenants VALUES ('load', 'Load', 'active', '{}', 0);
INSERT INTO devices (tenant_id, device_id, name, device_class, tags, status, info, active_serial, paired_at, created_at)
SELECT 'load', 'dev_' || n, 'Load', 'personal_scanner', '{}', 'paired', '{"model": "load"}', uuid_send(gen_random_uuid()), 0, 0
FROM generate_series(1, 1000) AS n;
ANALYZE;
