//! Connections that a rush of requests left behind.

use std::time::Duration;

use sqlx::postgres::PgPool;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How often the unused connections are counted.
const PERIOD: Duration = Duration::from_secs(1);

/// Closes unused connections beyond `most` that nobody needed from one count to the next; that ends
/// with the guard. A pool that may keep all of them is left alone.
pub(super) fn close_beyond(most: u32, pool: &PgPool) -> DropGuard {
    let stop = CancellationToken::new();
    if most < pool.options().get_max_connections() {
        let (pool, stopped) = (pool.clone(), stop.clone());
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        tokio::spawn(async move { stopped.run_until_cancelled(close_spare(most, pool)).await });
    }
    stop.drop_guard()
}

async fn close_spare(most: usize, pool: PgPool) {
    let mut before = 0;
    while !pool.is_closed() {
        tokio::time::sleep(PERIOD).await;
        let spare = pool.num_idle().saturating_sub(most);
        for _ in 0..spare.min(before) {
            let Some(connection) = pool.try_acquire() else {
                break;
            };
            if let Err(error) = connection.close().await {
                tracing::debug!(%error, "an unused connection did not end well");
            }
        }
        before = spare;
    }
}
