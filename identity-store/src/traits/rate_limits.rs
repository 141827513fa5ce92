use async_trait::async_trait;
use time::OffsetDateTime;

use crate::{BucketKey, RateDecision, RateLimit, Result};

/// Buckets of rate limits that hold over all replicas.
///
/// They are worth less than everything else that is stored: a back end may lose those of the last
/// moments when it crashes, and then a caller may ask a little sooner than the limit says.
#[async_trait]
pub trait RateLimitStore: Send + Sync {
    /// Takes one out of a bucket, if there is one in it at `now`: of any number of callers who take
    /// at once, no more get one than there are.
    async fn take_from_bucket(
        &self,
        bucket: BucketKey,
        limit: RateLimit,
        now: OffsetDateTime,
    ) -> Result<RateDecision>;

    /// Takes one out of a bucket even if it is empty, as [`RateLimit::charge`] does; returns when it
    /// will be full again.
    async fn charge_bucket(
        &self,
        bucket: BucketKey,
        limit: RateLimit,
        now: OffsetDateTime,
    ) -> Result<OffsetDateTime>;

    /// When a bucket will be, or was, full again; `None` for one that nobody took out of.
    async fn bucket(&self, bucket: BucketKey) -> Result<Option<OffsetDateTime>>;

    /// Forgets buckets that are full at `now`; returns how many.
    async fn purge_buckets(&self, now: OffsetDateTime) -> Result<u64>;
}
