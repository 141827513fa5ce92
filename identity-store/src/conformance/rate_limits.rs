use std::num::NonZeroU32;
use std::sync::Arc;

use time::Duration;

use super::fixtures::{World, at};
use crate::{BucketKey, RateDecision, RateLimit};

/// Three in a minute: one comes back in twenty seconds.
fn limit() -> RateLimit {
    RateLimit::new(NonZeroU32::new(3).unwrap(), Duration::MINUTE)
}

fn within(seconds: i64) -> RateDecision {
    RateDecision::Within {
        full_at: at(seconds),
    }
}

fn beyond(seconds: i64) -> RateDecision {
    RateDecision::Beyond {
        full_at: at(seconds),
    }
}

impl World {
    fn bucket_key(&self) -> BucketKey {
        BucketKey(self.digest())
    }

    async fn takes(&self, bucket: BucketKey, seconds: i64) -> RateDecision {
        let taken = self
            .store
            .take_from_bucket(bucket, limit(), at(seconds))
            .await;
        taken.unwrap()
    }

    async fn charges(&self, bucket: BucketKey, seconds: i64) -> i64 {
        let charged = self.store.charge_bucket(bucket, limit(), at(seconds)).await;
        (charged.unwrap() - at(0)).whole_seconds()
    }
}

pub async fn a_bucket_gives_what_is_in_it_and_is_refilled_evenly(world: World) {
    let (bucket, other) = (world.bucket_key(), world.bucket_key());
    assert_eq!(world.store.bucket(bucket).await.unwrap(), None);
    for (seconds, decision) in [
        (0, within(20)),
        (0, within(40)),
        (0, within(60)),
        (0, beyond(60)),
        (19, beyond(60)),
        (20, within(80)),
        (39, beyond(80)),
        (79, within(100)),
        // It was full since 100.
        (500, within(520)),
    ] {
        assert_eq!(world.takes(bucket, seconds).await, decision, "{seconds}");
    }
    assert_eq!(world.store.bucket(bucket).await.unwrap(), Some(at(520)));
    assert_eq!(world.takes(other, 0).await, within(20));
}

pub async fn of_many_that_take_at_once_no_more_get_one_than_there_are(world: World) {
    let bucket = world.bucket_key();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let store = Arc::clone(&world.store);
        callers.spawn(async move {
            let taken = store.take_from_bucket(bucket, limit(), at(0)).await;
            matches!(taken.unwrap(), RateDecision::Within { .. })
        });
    }
    let within = callers
        .join_all()
        .await
        .into_iter()
        .filter(|within| *within);
    assert_eq!(within.count(), 3);
}

pub async fn a_charge_counts_beyond_what_is_there_for_one_period_at_most(world: World) {
    let bucket = world.bucket_key();
    let mut charged = Vec::new();
    for _ in 0..8 {
        charged.push(world.charges(bucket, 0).await);
    }
    assert_eq!(charged, [20, 40, 60, 80, 100, 120, 120, 120]);
    assert_eq!(world.takes(bucket, 79).await, beyond(120));
    assert_eq!(world.takes(bucket, 80).await, within(140));
    assert_eq!(world.charges(bucket, 200).await, 220);
}

pub async fn charges_at_once_all_count(world: World) {
    let bucket = world.bucket_key();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let store = Arc::clone(&world.store);
        callers.spawn(async move { store.charge_bucket(bucket, limit(), at(0)).await.unwrap() });
    }
    callers.join_all().await;
    assert_eq!(world.store.bucket(bucket).await.unwrap(), Some(at(100)));
}

pub async fn a_bucket_is_full_after_the_clock_was_set_back(world: World) {
    let bucket = world.bucket_key();
    assert_eq!(world.takes(bucket, 3600).await, within(3620));
    assert_eq!(world.takes(bucket, 0).await, within(20));
    assert_eq!(world.takes(bucket, 3600).await, within(3620));
    assert_eq!(world.charges(bucket, 0).await, 20);
}

pub async fn a_purge_forgets_full_buckets(world: World) {
    let (soon, later) = (world.bucket_key(), world.bucket_key());
    world.takes(soon, 0).await;
    world.takes(later, 10).await;
    for (seconds, purged) in [(19, 0), (20, 1), (20, 0), (30, 1)] {
        let count = world.store.purge_buckets(at(seconds)).await.unwrap();
        assert_eq!(count, purged, "{seconds}");
    }
    assert_eq!(world.store.bucket(soon).await.unwrap(), None);
}
