-- What SQLite has and the seeds' statements call, and a partition for each month that they write to.
CREATE FUNCTION unixepoch() RETURNS BIGINT STABLE LANGUAGE sql
    RETURN extract(epoch FROM now())::BIGINT;
CREATE FUNCTION hex(bytes BYTEA) RETURNS TEXT IMMUTABLE LANGUAGE sql
    RETURN upper(encode(bytes, 'hex'));
-- 32 random bytes over and over.
CREATE FUNCTION randomblob(length INT) RETURNS BYTEA VOLATILE LANGUAGE sql
    RETURN substring(decode(repeat(replace(gen_random_uuid()::TEXT || gen_random_uuid(), '-', ''),
                                   length / 32 + 1), 'hex'), 1, length);

SELECT prepare_audit_month(extract(epoch FROM month)::BIGINT * 1000)
FROM generate_series(now() - INTERVAL '1 year', now(), INTERVAL '1 month') AS month;
