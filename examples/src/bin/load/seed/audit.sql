-- :count sealed rows of one tenant's chain, of the past year. The sealer goes on from the last of them; no
-- verification would pass them, since their hashes are random.
INSERT INTO audit_rows (id, tenant_id, chain_position, at, actor_type, actor_id, action, outcome,
                        severity, subject, request_id, ip, metadata, prev_hash, hash)
WITH RECURSIVE
    number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :count),
    head (place) AS (SELECT coalesce(max(chain_position), 0) FROM audit_rows WHERE tenant_id = 'load')
SELECT 'aud_seed' || (10000000000 + place + n), 'load', place + n,
       unixepoch() * 1000 - 31536000000 / :count * (:count - n), 'device', 'dev_seed',
       'verification_complete', 'success', 'info', 'ch_seed' || (10000000000 + n),
       'req-' || (10000000000 + n), '127.0.0.1', '{"user_id":"usr_seed","policy_version":"1"}',
       randomblob(32), randomblob(32)
FROM number, head;

INSERT INTO audit_chains (tenant_id, length, hash)
SELECT tenant_id, chain_position, hash FROM audit_rows
WHERE tenant_id = 'load' ORDER BY chain_position DESC LIMIT 1
ON CONFLICT (tenant_id) DO UPDATE SET length = excluded.length, hash = excluded.hash;
