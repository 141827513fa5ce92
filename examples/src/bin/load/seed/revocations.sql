-- :count revoked certificates that are still valid.
INSERT INTO revoked_cert_fingerprints (tenant_id, device_id, fingerprint, tbs_sha256, reason,
                                       revoked_at, revoked_by, not_after, serial, ca_fingerprint)
WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :count)
SELECT 'load', 'dev_seed' || (10000000000 + n), randomblob(32), randomblob(32), 'revoked',
       unixepoch() * 1000, 'load', unixepoch() * 1000 + 7776000000, randomblob(20), randomblob(32)
FROM number;
