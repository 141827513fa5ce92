//! Buckets of rate limits.
//!
//! PostgreSQL keeps them in an unlogged table: what writes nothing else waits for no disk at its
//! commit, and after a crash of the database all buckets are full.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::SqlStore;
use super::column::{Columns, ms};
use super::connection::Connection;
use super::fault::Step;
use super::query::query;
use super::row::Row;
use super::tx::{Isolation, Tx};
use crate::posting::to_millisecond;
use crate::{BucketKey, RateDecision, RateLimit, RateLimitStore, Result};

/// $2 is now, $3 what one takes to come back, $4 the latest moment that leaves room, $5 the one that
/// no bucket is full after.
const TAKE: &str = "
    INSERT INTO rate_limit_buckets AS b (bucket, full_at) VALUES ($1, $2 + $3)
    ON CONFLICT (bucket) DO UPDATE
    SET full_at = $3 + CASE WHEN b.full_at BETWEEN $2 AND $5 THEN b.full_at ELSE $2 END
    WHERE b.full_at <= $4 OR b.full_at > $5
    RETURNING full_at";
/// As [`TAKE`], but for $4.
const CHARGE: &str = "
    INSERT INTO rate_limit_buckets AS b (bucket, full_at) VALUES ($1, $2 + $3)
    ON CONFLICT (bucket) DO UPDATE
    SET full_at = CASE WHEN b.full_at NOT BETWEEN $2 AND $4 THEN $2 + $3
                       WHEN b.full_at + $3 > $4 THEN $4
                       ELSE b.full_at + $3 END
    RETURNING full_at";
const BUCKET: &str = "SELECT full_at FROM rate_limit_buckets WHERE bucket = $1";
/// The one that $2 others lie before, behind $1.
const END_OF_PAGE: &str = "
    SELECT bucket FROM rate_limit_buckets WHERE bucket > $1 ORDER BY bucket LIMIT 1 OFFSET $2";
/// Those behind $1, up to $2, that are full at $3. An index over `full_at` would be written each time that
/// one is taken, to spare a purge what the last minutes wrote.
pub(super) const PURGE: &str = "
    DELETE FROM rate_limit_buckets WHERE bucket > $1 AND bucket <= $2 AND full_at <= $3";
/// No bucket comes after it.
const LAST: &[u8] = &[u8::MAX; size_of::<BucketKey>()];
/// How many buckets one transaction of a purge looks at.
const PAGE: i64 = 5000;

fn read(row: &Row) -> Result<OffsetDateTime> {
    Columns::of(row, "rate_limit_buckets").time("full_at")
}

/// A span as milliseconds.
fn span(limit: RateLimit) -> i64 {
    let refill = limit.refill().whole_milliseconds();
    i64::try_from(refill).unwrap_or(i64::MAX)
}

async fn find(conn: &mut Connection, bucket: BucketKey) -> Step<Option<OffsetDateTime>> {
    let row = query(BUCKET)
        .bind(&bucket.0[..])
        .fetch_optional(conn)
        .await?;
    Ok(row.as_ref().map(read).transpose()?)
}

async fn take(
    tx: &mut Tx,
    bucket: BucketKey,
    limit: RateLimit,
    now: OffsetDateTime,
) -> Step<RateDecision> {
    let taken = query(TAKE)
        .bind(&bucket.0[..])
        .bind(ms(now))
        .bind(span(limit))
        .bind(ms(limit.last_room(now)))
        .bind(ms(limit.horizon(now)))
        .fetch_optional(tx.conn())
        .await?;
    if let Some(row) = taken {
        let full_at = read(&row)?;
        return Ok(RateDecision::Within { full_at });
    }
    // Nothing was written, and nobody writes an earlier moment.
    let full_at = find(tx.conn(), bucket).await?.unwrap_or(now);
    Ok(RateDecision::Beyond { full_at })
}

/// Purges the next buckets behind one; returns how many, and the last that it looked at if there are more.
async fn purge_page(
    conn: &mut Connection,
    behind: &[u8],
    now: OffsetDateTime,
) -> Step<(u64, Option<Vec<u8>>)> {
    let end = query(END_OF_PAGE).bind(behind).bind(PAGE - 1);
    let end = end.fetch_optional(conn).await?;
    let end = end.map(|row| Columns::of(&row, "rate_limit_buckets").get::<Vec<u8>>("bucket"));
    let end = end.transpose()?;
    let purge = query(PURGE)
        .bind(behind)
        .bind(end.as_deref().unwrap_or(LAST))
        .bind(ms(now));
    Ok((purge.execute(conn).await?, end))
}

#[async_trait]
impl RateLimitStore for SqlStore {
    async fn take_from_bucket(
        &self,
        bucket: BucketKey,
        limit: RateLimit,
        now: OffsetDateTime,
    ) -> Result<RateDecision> {
        let now = to_millisecond(now);
        self.run_tx("take_from_bucket", Isolation::ReadCommitted, move |tx| {
            Box::pin(take(tx, bucket, limit, now))
        })
        .await
    }

    async fn charge_bucket(
        &self,
        bucket: BucketKey,
        limit: RateLimit,
        now: OffsetDateTime,
    ) -> Result<OffsetDateTime> {
        let now = to_millisecond(now);
        self.run_tx("charge_bucket", Isolation::ReadCommitted, move |tx| {
            Box::pin(async move {
                let charged = query(CHARGE)
                    .bind(&bucket.0[..])
                    .bind(ms(now))
                    .bind(span(limit))
                    .bind(ms(limit.horizon(now)))
                    .fetch_one(tx.conn())
                    .await?;
                Ok(read(&charged)?)
            })
        })
        .await
    }

    async fn bucket(&self, bucket: BucketKey) -> Result<Option<OffsetDateTime>> {
        self.read("bucket", async |conn| find(conn, bucket).await)
            .await
    }

    async fn purge_buckets(&self, now: OffsetDateTime) -> Result<u64> {
        let (mut behind, mut purged) = (Some(Vec::new()), 0);
        while let Some(place) = behind {
            let page = self.run_tx("purge_buckets", Isolation::ReadCommitted, move |tx| {
                Box::pin(async move { purge_page(tx.conn(), &place, now).await })
            });
            let (page, end) = page.await?;
            purged += page;
            behind = end;
        }
        Ok(purged)
    }
}
