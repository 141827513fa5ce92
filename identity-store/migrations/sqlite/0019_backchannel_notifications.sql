-- Where a client is told that its authentication request was answered (CIBA, ping mode).
ALTER TABLE oauth_clients ADD COLUMN notification_endpoint TEXT;

-- What a client is told with, encrypted: until it was told, or is not told any more.
ALTER TABLE backchannel_requests ADD COLUMN notification BLOB;
-- When that is due next: from the challenge's end on.
ALTER TABLE backchannel_requests ADD COLUMN notify_at INTEGER;
ALTER TABLE backchannel_requests ADD COLUMN notify_tries INTEGER NOT NULL DEFAULT 0;

CREATE INDEX backchannel_requests_notify_at ON backchannel_requests (notify_at)
    WHERE notify_at IS NOT NULL;
