use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tracing::Instrument as _;

type Landing<T> = watch::Receiver<Option<T>>;

/// Work that runs once however many ask for it at the same time: those who come while it runs wait
/// for it and get its result. It runs in a task of its own, so that nobody's leaving stops it.
pub(super) struct Flights<K, T> {
    running: Mutex<HashMap<K, Landing<T>>>,
}

/// The work panicked: there is no result to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the task that worked for several requests ended without a result")]
pub(super) struct Crashed;

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self {
            running: Mutex::default(),
        }
    }
}

impl<K, T> fmt::Debug for Flights<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flights(..)")
    }
}

impl<K, T> Flights<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// The result of the work that runs under `key`, or else of `work`, which is started.
    ///
    /// # Errors
    ///
    /// [`Crashed`] when the work panicked.
    pub(super) async fn join(
        self: &Arc<Self>,
        key: K,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Crashed> {
        let mut landing = self.board(key, work);
        let result = landing
            .wait_for(Option::is_some)
            .await
            .map_err(|_| Crashed)?;
        result.clone().ok_or(Crashed)
    }

    fn board(
        self: &Arc<Self>,
        key: K,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Landing<T> {
        let mut running = self.lock();
        if let Some(landing) = running.get(&key) {
            return landing.clone();
        }
        let (sender, landing) = watch::channel(None);
        running.insert(key.clone(), landing.clone());
        let departure = Departure {
            flights: Arc::clone(self),
            key,
        };
        let flight = async move {
            let result = work.await;
            // Off the table first: who comes from now on starts anew.
            drop(departure);
            sender.send_replace(Some(result));
        };
        tokio::spawn(flight.in_current_span());
        landing
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Landing<T>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes its flight off the table when the work ends, however it ends.
struct Departure<K: Eq + Hash, T> {
    flights: Arc<Flights<K, T>>,
    key: K,
}

impl<K: Eq + Hash, T> Drop for Departure<K, T> {
    fn drop(&mut self) {
        let running = self.flights.running.lock();
        running
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn those_who_come_while_it_runs_share_one_result() {
        let flights = Arc::new(Flights::default());
        let (runs, go) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let work = || {
            let (runs, go) = (Arc::clone(&runs), Arc::clone(&go));
            async move {
                go.notified().await;
                runs.fetch_add(1, Ordering::SeqCst) + 1
            }
        };
        let (first, second, _) = tokio::join!(
            flights.join("challenge", work()),
            flights.join("challenge", work()),
            async { go.notify_one() },
        );
        assert_eq!((first, second), (Ok(1), Ok(1)));
        go.notify_one();
        assert_eq!(
            flights.join("challenge", work()).await,
            Ok(2),
            "a later one starts anew"
        );
    }

    #[tokio::test]
    async fn it_goes_on_when_the_one_who_started_it_leaves() {
        let flights = Arc::new(Flights::default());
        let (go, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let work = {
            let (go, done) = (Arc::clone(&go), Arc::clone(&done));
            async move {
                go.notified().await;
                done.notify_one();
            }
        };
        let starter = tokio::spawn({
            let flights = Arc::clone(&flights);
            async move { flights.join(1, work).await }
        });
        while flights.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        starter.abort();
        assert!(starter.await.unwrap_err().is_cancelled());
        go.notify_one();
        done.notified().await;
    }

    #[tokio::test]
    async fn a_panic_is_told_and_leaves_nothing_behind() {
        let flights = Arc::new(Flights::<u8, u8>::default());
        let crash = async { panic!("the work fails") };
        assert_eq!(flights.join(1, crash).await, Err(Crashed));
        assert_eq!(flights.join(1, async { 7 }).await, Ok(7));
    }
}
