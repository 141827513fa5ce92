-- One row: the platform's device policy, which tenants' settings override.
CREATE TABLE device_policy (
    one                 BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    validity_days       BIGINT NOT NULL,
    renewal_window_days BIGINT NOT NULL,
    clock_skew_seconds  BIGINT NOT NULL
);

INSERT INTO device_policy VALUES (1, 90, 30, 300);

-- What was told of the expiry of a certificate of the platform: the thresholds that were announced and
-- mailed last, in days before its expiry, and until when somebody is mailing. A certificate keeps its row
-- when another takes its place, and finds it when it comes back.
CREATE TABLE expiry_alerts (
    fingerprint        BYTEA NOT NULL PRIMARY KEY,
    announced_days     BIGINT,
    mailed_days        BIGINT,
    mail_claimed_until BIGINT
);

-- Who had the mail of a threshold while it was not sent to everybody yet.
CREATE TABLE expiry_mails (
    fingerprint    BYTEA NOT NULL,
    operator_id    TEXT COLLATE "C" NOT NULL,
    threshold_days BIGINT NOT NULL,
    PRIMARY KEY (fingerprint, operator_id)
);
