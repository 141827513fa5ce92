-- Of each certificate of the platform which thresholds, in days before its expiry, were announced and mailed,
-- and until when somebody is mailing. A certificate keeps its rows when another takes its place, and finds
-- them when it comes back.
CREATE TABLE expiry_thresholds (
    fingerprint        BYTEA NOT NULL,
    threshold_days     BIGINT NOT NULL,
    announced          BOOLEAN NOT NULL,
    mailed             BOOLEAN NOT NULL,
    mail_claimed_until BIGINT,
    PRIMARY KEY (fingerprint, threshold_days)
);

-- Who had the mail of a threshold while it was not sent to everybody yet.
CREATE TABLE expiry_recipients (
    fingerprint    BYTEA NOT NULL,
    threshold_days BIGINT NOT NULL,
    operator_id    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (fingerprint, threshold_days, operator_id)
);

-- The last threshold of a channel is all that was known. Those before it are not taken for told: if they were not,
-- because the clock was ahead, they are due; if they were, nobody asks for them but a clock that goes back.
INSERT INTO expiry_thresholds (fingerprint, threshold_days, announced, mailed)
SELECT fingerprint, announced_days, TRUE, COALESCE(mailed_days <= announced_days, FALSE)
FROM expiry_alerts WHERE announced_days IS NOT NULL
UNION
SELECT fingerprint, mailed_days, COALESCE(announced_days <= mailed_days, FALSE), TRUE
FROM expiry_alerts WHERE mailed_days IS NOT NULL;

INSERT INTO expiry_recipients (fingerprint, threshold_days, operator_id)
SELECT fingerprint, threshold_days, operator_id FROM expiry_mails;

-- expiry_alerts and expiry_mails stay for servers of the release before; a later release drops them.
