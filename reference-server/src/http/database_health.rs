use std::sync::Arc;
use std::time::Duration;

use identity_store::Store;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// How long the database has to answer before it counts as down: whoever asks does not wait for ever.
const ANSWER: Duration = Duration::from_secs(5);
/// How long an answer counts for everybody.
const FRESH: Duration = Duration::from_secs(1);

/// Whether the database answers and has a schema that this version works with. Anybody may ask, so the
/// database is asked once a second at most, by one at a time, whoever of those who ask leaves.
#[derive(Debug, Default)]
pub struct DatabaseHealth(Arc<Mutex<Option<(Instant, bool)>>>);

impl DatabaseHealth {
    /// What `store` says, or said within the last second.
    pub async fn is_up(&self, store: &Arc<dyn Store>) -> bool {
        self.shared(check(Arc::clone(store))).await
    }

    async fn shared(&self, check: impl Future<Output = bool> + Send + 'static) -> bool {
        let mut last = Arc::clone(&self.0).lock_owned().await;
        match *last {
            Some((at, is_up)) if at.elapsed() < FRESH => is_up,
            Some(_) | None => {
                let asking = tokio::spawn(async move {
                    let is_up = check.await;
                    *last = Some((Instant::now(), is_up));
                    is_up
                });
                // One that panicked found nothing up.
                asking.await.unwrap_or(false)
            }
        }
    }
}

async fn check(store: Arc<dyn Store>) -> bool {
    match timeout(ANSWER, store.check()).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the database is not ready");
            false
        }
        Err(_) => {
            tracing::warn!("the database does not answer");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Database {
        health: DatabaseHealth,
        asked: Arc<AtomicUsize>,
    }

    impl Database {
        /// Asks for its health; should it be asked itself, it says `is_up` when its time is over.
        async fn ask(&self, is_up: bool) -> bool {
            let asked = Arc::clone(&self.asked);
            let check = async move {
                asked.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(ANSWER).await;
                is_up
            };
            self.health.shared(check).await
        }

        fn times_asked(&self) -> usize {
            self.asked.load(Ordering::Relaxed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_ask_within_a_second_share_one_answer() {
        let database = Database::default();
        let both = async |is_up| tokio::join!(database.ask(is_up), database.ask(is_up));
        assert_eq!(both(true).await, (true, true));
        assert!(database.ask(false).await);
        assert_eq!(database.times_asked(), 1);
        tokio::time::advance(FRESH).await;
        assert_eq!(both(false).await, (false, false));
        assert_eq!(database.times_asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_and_leaves_begins_no_second_check() {
        let database = Database::default();
        for _ in 0..3 {
            let impatient = timeout(ANSWER / 8, database.ask(true));
            assert!(impatient.await.is_err());
        }
        assert!(database.ask(false).await, "the first one's answer");
        assert_eq!(database.times_asked(), 1);
    }
}
