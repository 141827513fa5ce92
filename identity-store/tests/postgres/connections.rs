use std::sync::Arc;

use identity_store::{LeaseName, LeaseStore as _, PoolOptions, ReplicaId, Store as _};
use postgres_cluster::Database;
use time::{Duration, OffsetDateTime};
use tokio::task::JoinSet;

use crate::sql::{raw, run, wait_for_waiting, wait_until};
use crate::{entropy, open_with};

/// The two that may stay.
const FEW: &str = "count(*) <= 2 FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'identity-store'";

pub(crate) async fn connections_that_a_rush_left_behind_are_closed(database: Database) {
    let pool = PoolOptions {
        max_connections: 8,
        max_idle: 2,
        ..PoolOptions::default()
    };
    let store = Arc::new(open_with(&database, &pool).await);
    let mut conn = raw(&database).await;
    run(&mut conn, "BEGIN").await;
    run(&mut conn, "LOCK TABLE leases").await;
    let mut rush = JoinSet::new();
    for _ in 0..8 {
        let store = Arc::clone(&store);
        rush.spawn(async move {
            let now = OffsetDateTime::UNIX_EPOCH;
            let (holder, until) = (
                ReplicaId::generate(now, &mut entropy()),
                now + Duration::MINUTE,
            );
            let acquired = store.acquire_lease(LeaseName::Purge, &holder, now, until);
            acquired.await.unwrap()
        });
    }
    wait_for_waiting(&database, 8).await;
    run(&mut conn, "COMMIT").await;
    let holders = rush.join_all().await;
    assert_eq!(holders.iter().flatten().count(), 1);
    wait_until(&database, FEW).await;
    store.check().await.unwrap();
    store.close().await;
}
