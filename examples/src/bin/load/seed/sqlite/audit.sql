-- :count sealed rows of one tenant's chain. No verification would pass them: their hashes are random.
INSERT INTO audit_rows (id, tenant_id, chain_position, at, actor_type, actor_id, action, outcome,
                        severity, subject, request_id, ip, metadata, prev_hash, hash)
WITH RECURSIVE
    number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :count),
    head (place) AS (SELECT coalesce(max(chain_position), 0) FROM audit_rows WHERE tenant_id = 'load')
SELECT printf('aud_seed%022d', head.place + n), 'load', head.place + n, unixepoch() * 1000, 'device',
       'dev_seed', 'verification_complete', 'success', 'info', printf('ch_seed%010d', n),
       printf('req-%010d', n), '127.0.0.1', '{"user_id":"usr_seed","policy_version":"1"}',
       randomblob(32), randomblob(32)
FROM number, head;
