-- :count paired devices more, and their certificates. Nobody has their keys, and their PEM is of the usual
-- length and no certificate.
INSERT INTO devices (tenant_id, device_id, name, device_class, tags, status, info, active_serial,
                     paired_at, last_seen_at, created_at)
WITH RECURSIVE
    seeded (before) AS (SELECT count(*) FROM devices
                        WHERE device_id BETWEEN 'dev_seed' AND 'dev_seee'),
    number (n) AS (SELECT before + 1 FROM seeded
                   UNION ALL SELECT n + 1 FROM number, seeded WHERE n < before + :count)
SELECT 'load', 'dev_seed' || (10000000000 + n), 'Load', 'personal_scanner', '{}', 'paired',
       '{"model":"load"}', randomblob(20), unixepoch() * 1000, unixepoch() * 1000,
       unixepoch() * 1000 - n
FROM number;

INSERT INTO issued_certificates (tenant_id, device_id, serial, fingerprint, tbs_sha256, spki_sha256,
                                 ca_fingerprint, profile, purpose, not_before, not_after, pem,
                                 request_id, issued_at)
SELECT tenant_id, device_id, active_serial, randomblob(32), randomblob(32), randomblob(32),
       randomblob(32), 'device', 'pairing', paired_at, paired_at + 7776000000,
       hex(randomblob(450)), device_id, paired_at
FROM devices
WHERE device_id BETWEEN 'dev_seed' AND 'dev_seee'
  AND NOT EXISTS (SELECT 1 FROM issued_certificates c WHERE c.serial = devices.active_serial);
