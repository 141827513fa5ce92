use async_trait::async_trait;
use time::OffsetDateTime;

use super::MemoryStore;
use super::transaction::as_u64;
use crate::posting::to_millisecond;
use crate::{BucketKey, RateDecision, RateLimit, RateLimitStore, Result};

#[async_trait]
impl RateLimitStore for MemoryStore {
    async fn take_from_bucket(
        &self,
        bucket: BucketKey,
        limit: RateLimit,
        now: OffsetDateTime,
    ) -> Result<RateDecision> {
        let now = to_millisecond(now);
        let mut state = self.state();
        let before = state.buckets.get(&bucket).copied();
        Ok(match limit.take(before, now) {
            Ok(full_at) => {
                state.buckets.insert(bucket, full_at);
                RateDecision::Within { full_at }
            }
            Err(_wait) => RateDecision::Beyond {
                full_at: before.unwrap_or(now),
            },
        })
    }

    async fn charge_bucket(
        &self,
        bucket: BucketKey,
        limit: RateLimit,
        now: OffsetDateTime,
    ) -> Result<OffsetDateTime> {
        let mut state = self.state();
        let before = state.buckets.get(&bucket).copied();
        let full_at = limit.charge(before, to_millisecond(now));
        state.buckets.insert(bucket, full_at);
        Ok(full_at)
    }

    async fn bucket(&self, bucket: BucketKey) -> Result<Option<OffsetDateTime>> {
        Ok(self.state().buckets.get(&bucket).copied())
    }

    async fn purge_buckets(&self, now: OffsetDateTime) -> Result<u64> {
        let buckets = &mut self.state().buckets;
        let before = buckets.len();
        buckets.retain(|_, full_at| *full_at > now);
        Ok(as_u64(before - buckets.len()))
    }
}
