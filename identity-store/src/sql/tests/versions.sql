-- A row for each table, under the first and the last version that takes it. [n] is 32 bytes of the value n,
-- [id] a ULID, and <table.column of row: text> the text as that column holds it.

-- versions 1 to 99
INSERT INTO tenants VALUES ('acme', 'Acme', 'active',
    '{"audit_enabled":true,"certificate_validity_days":null,"renewal_window_days":null,"renewal_grace_seconds":0,
      "consent_required":true,"kyc_required_for_enrollment":false,"challenge_ttl_seconds":120,"max_attempts":3,
      "max_open_challenges_per_device":5,"palm_duplicate_action":"reject","palm_policy":{}}', 0);
INSERT INTO devices (tenant_id, device_id, name, device_class, tags, status, info, active_serial,
                     paired_at, created_at)
VALUES ('acme', 'dev_1', 'Counter 1', 'personal_scanner', '{"floor":"2"}', 'paired', '{"model":"M"}',
        x'0000000000000000000000000000000000000007', 0, 0);
INSERT INTO issued_certificates
VALUES ('acme', 'dev_1', x'0000000000000000000000000000000000000007', [1], [2], [3], [4], 'device',
        'pairing', 0, 4000000000000, 'the PEM', 'req-1', 0);
INSERT INTO oauth_clients (tenant_id, client_id, name, scopes, created_at)
VALUES ('acme', 'cli_[id]', 'Backend', '["devices:read"]', 0);
INSERT INTO oauth_client_secrets VALUES ('acme', 'cli_[id]', 1, [6], NULL);
INSERT INTO platform_secrets (kind, fingerprint, position, secret, uploaded_by)
VALUES ('email_digest_key', '', 1,
        <platform_secrets.secret of email_digest_key/: kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk>, '');
INSERT INTO platform_secrets (kind, fingerprint, position, state, cert_pem, secret, not_after,
                              uploaded_by, created_at)
VALUES ('platform_ca', '0404040404040404040404040404040404040404040404040404040404040404', 2,
        'active', 'the certificate',
        <platform_secrets.secret of platform_ca/0404040404040404040404040404040404040404040404040404040404040404: the key>,
        4000000000000, 'adm_[id]', 0);
INSERT INTO idempotent_answers
VALUES ([8], [9], 0, 4000000000000, 201,
        <idempotent_answers.body of 0808080808080808080808080808080808080808080808080808080808080808: shown once>);
INSERT INTO audit_rows (id, tenant_id, chain_position, at, actor_type, actor_id, action, outcome,
                        severity, subject, request_id, metadata, prev_hash, hash)
VALUES ('aud_[id]', '', 1, 0, 'system', 'test', 'ops_alert', 'failed', 'info', '', 'req-1', '{}',
        [0], [1]);
INSERT INTO outbox (tenant_id, event_id, event_type, subject, sequence, at, data)
VALUES ('', 'evt_[id]', 'platform.ops_alert', 'kind', 1, 0, '{}');

-- versions 1 to 1
INSERT INTO revoked_cert_fingerprints (tenant_id, device_id, fingerprint, tbs_sha256, reason,
                                       revoked_at, revoked_by, not_after)
VALUES ('acme', 'dev_1', [1], [2], 'renewed', 0, 'dev_1', 4000000000000);

-- versions 2 to 99
INSERT INTO revoked_cert_fingerprints (tenant_id, device_id, fingerprint, tbs_sha256, reason,
                                       revoked_at, revoked_by, not_after, serial, ca_fingerprint)
VALUES ('acme', 'dev_1', [1], [2], 'renewed', 0, 'dev_1', 4000000000000,
        x'0000000000000000000000000000000000000007', [4]);

-- versions 1 to 3
INSERT INTO users
VALUES ('acme', 'ada', 'usr_[id]', 'Ada', 'ada@example.org', '+41', 0, 'granted', 'none', NULL, NULL,
        '{"allowed_types":["left"],"verification_enabled":true}', 0, NULL, 0);
INSERT INTO console_users
VALUES ('adm_[id]', NULL, 'root@example.org', 'platform_admin', 'hash', 0, 0);
INSERT INTO login_failures VALUES ('root@example.org', 4000000000000);

-- versions 3 to 99
INSERT INTO leases VALUES ('purge', 'rep_[id]', 41, 0, 1);
INSERT INTO rate_limit_buckets VALUES ([5], 4000000000000);

-- versions 5 to 99
INSERT INTO data_keys VALUES ('test', <data_keys.key_check of test: >);
INSERT INTO users (tenant_id, user_id, internal_id, display_name, email, mobile, suspended,
                   consent_status, kyc_status, palm_policy, consecutive_failures, created_at)
VALUES ('acme', 'ada', 'usr_[id]', <users.display_name of acme/ada: Ada>,
        <users.email of acme/ada: ada@example.org>, <users.mobile of acme/ada: +41>, 0, 'granted',
        'none', '{"allowed_types":["left"],"verification_enabled":true}', 0, 0);
-- The digest under the key above.
INSERT INTO console_users
VALUES ('adm_[id]', NULL, <console_users.email of adm_[id]: root@example.org>,
        x'52598cd37e35f93dc2559d93860abfdf363088e3f83372a0f158f4f142a7e773',
        'platform_admin', 'hash', 0, 0);
INSERT INTO login_failures
VALUES (x'52598cd37e35f93dc2559d93860abfdf363088e3f83372a0f158f4f142a7e773', 4000000000000);

-- versions 8 to 99
INSERT INTO console_totp (operator_id, totp_id, secret, confirmed, last_step)
VALUES ('adm_[id]', 'otp_[id]', <console_totp.secret of adm_[id]: the shared secret>, 1, 0);
INSERT INTO console_recovery_codes VALUES ('adm_[id]', [6]);
INSERT INTO console_sign_ins VALUES ([7], 'adm_[id]', 4000000000000);

-- versions 1 to 99
INSERT INTO console_sessions (session_id, operator_id, token_hash, created_at, last_used_at, expires_at)
VALUES ('ses_[id]', 'adm_[id]', [7], 0, 4000000000000, 4000000000001);
INSERT INTO palms VALUES ('acme', 'ada', 'left', 77, 'dev_1', 0);
INSERT INTO palm_erasures (tenant_id, user_id, palm_type, requested_at)
VALUES ('acme', 'ada', 'right', 0);
INSERT INTO consents VALUES ('acme', 'ada', 1, 0, 'v1', '["doors"]', 1, 'signature', NULL);
INSERT INTO challenges (tenant_id, challenge_id, kind, status, attempts_used, max_attempts, user_id,
                        internal_user_id, device_id, client_id, context, metadata, nonce, created_at,
                        expires_at)
VALUES ('acme', 'ch_[id]', 'verify', 'in_progress', 0, 3, 'ada', 'usr_[id]', 'dev_1', 'cli_[id]',
        'the safe', '{}', 'nonce', 0, 4000000000000);
INSERT INTO challenge_attempts (tenant_id, challenge_id, number, sample_digest, started_at,
                                lease_until, finished_at, decided, may_have_happened)
VALUES ('acme', 'ch_[id]', 1, [5], 0, 1, 1, 1, 0);

-- versions 6 to 99
INSERT INTO audit_chains (tenant_id, length, hash) VALUES ('', 1, [1]);
INSERT INTO audit_archives VALUES ('', '2026-01', 1, 'aud_[id]', 'aud_[id]', 0, [0], 1, [1], [2],
                                   'platform_2026-01.ndjson', 0);
INSERT INTO audit_intake
VALUES (1, 'aud_01j00000000000000000000002', 'acme', 0, 'system', 'test', 'tenant_updated', 'succeeded',
        'info', 'acme', 'req-1', NULL, '{}');
INSERT INTO outbox_intake
VALUES (1, 'acme', 'evt_01j00000000000000000000002', 'device.created', 'dev_1', 0, '{}');
UPDATE audit_sealer SET outbox_position = 1;
INSERT INTO named_secrets VALUES ('email_digest_key');

-- versions 7 to 99
INSERT INTO jobs (tenant_id, job_id, kind, target, reason, status, total, done, failed, behind_tenant, behind_device,
                  asked_by, request_id, created_at, ended_at)
VALUES ('', 'job_[id]', 'revoke_tenant', 'acme', 'they left us', 'running', 3, 1, 0,
                         'acme', 'dev_0', 'adm_[id]', 'req-1', 0, NULL);

-- versions 9 to 99
INSERT INTO expiry_alerts VALUES ([4], 30, NULL, NULL);
INSERT INTO expiry_mails VALUES ([4], 'adm_[id]', 30);

-- versions 10 to 99
INSERT INTO renewal_graces VALUES ('acme', 'dev_1', x'0000000000000000000000000000000000000007', [3], 0);

-- versions 13 to 99
INSERT INTO erasures (tenant_id, erasure_id, internal_id, requested_at)
VALUES ('acme', 'era_[id]', 'usr_01j00000000000000000000003', 0);

-- versions 14 to 99
INSERT INTO used_assertions VALUES ('acme', 'cli_[id]', [5], 4000000000000);
INSERT INTO revoked_tokens VALUES ('acme', 'the token', 4000000000000);

-- versions 15 to 99
INSERT INTO backchannel_requests (tenant_id, challenge_id, request_sha256, interval_seconds, polled_at, granted_at,
                                  expires_at)
VALUES ('acme', 'ch_[id]', [5], 5, NULL, NULL, 4000000000000);

-- versions 16 to 99
INSERT INTO webhook_endpoints (tenant_id, endpoint_id, url, events, secrets, created_at)
VALUES ('acme', 'whe_[id]', 'https://hooks.example', '["*"]',
        <webhook_endpoints.secrets of acme/whe_[id]: [{"secret":"AAAA","expires_at":null}]>, 0);
INSERT INTO webhook_deliveries (tenant_id, delivery_id, endpoint_id, event_position, event_id, event_type,
                                status, tries, claims, due_at, created_at)
VALUES ('acme', 'dlv_[id]', 'whe_[id]', 1, 'evt_[id]', 'device.created', 'pending', 3, 3, 0, 0);
INSERT INTO outbox_numbers VALUES ('acme', 'dev_1', 41);
UPDATE webhook_fan_out SET position = 1;

-- versions 18 to 99
INSERT INTO expiry_thresholds VALUES ([4], 30, 1, 0, NULL);
INSERT INTO expiry_recipients VALUES ([4], 30, 'adm_[id]');

-- versions 19 to 99
UPDATE backchannel_requests
SET notification = <backchannel_requests.notification of acme/ch_[id]: what the client is told with>, notify_at = 0;

-- versions 20 to 99
INSERT INTO jobs (tenant_id, job_id, kind, target, tags, status, total, done, failed, behind_tenant, behind_device,
                  asked_by, request_id, created_at)
VALUES ('acme', 'job_[id]', 'untag_devices', 'acme', '["none"]', 'queued', 1, 0, 0, '', '', 'cli_[id]', 'req', 5);
INSERT INTO job_devices VALUES ('acme', 'job_[id]', 'dev_1');
