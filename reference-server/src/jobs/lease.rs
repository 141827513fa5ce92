//! Jobs that run on one replica at a time.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use identity_store::{Lease, LeaseName, ReplicaId, Store};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::log_failure;
use crate::App;
use crate::clock::Clock;

/// How long a lease lasts that is not renewed.
pub(super) const TERM: Duration = Duration::from_secs(10);
/// How often its holder renews it.
const RENEWAL: Duration = Duration::from_secs(3);
/// How often the others ask for it: a holder that dies is followed within eleven seconds, one that
/// stops within one.
const ASKING: Duration = Duration::from_secs(1);

/// A replica that asks for leases.
#[derive(Debug)]
pub(super) struct Lessee {
    id: ReplicaId,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
}

/// A lease that this replica has taken.
struct Taken {
    lease: Lease,
    /// It lasts from then at least.
    asked_at: Instant,
}

impl Lessee {
    pub(super) fn new(app: &App) -> Self {
        Self {
            id: app.replica.clone(),
            store: Arc::clone(&app.store),
            clock: Arc::clone(&app.clock),
            stop: app.drained.clone(),
        }
    }

    /// Runs `job` while this replica holds the lease, however often that comes and goes, until the
    /// job has ended of itself. A job that the lease is taken from is dropped where it waits. A
    /// process that has the database for itself runs it without a lease.
    pub(super) async fn run<J>(self, name: LeaseName, job: impl Fn(Option<Lease>) -> J)
    where
        J: Future<Output = ()>,
    {
        if !self.store.is_shared() {
            return job(None).await;
        }
        // A sum over the replicas is 0 then, and not nothing.
        gauge(name).set(0);
        while !self.stop.is_cancelled() {
            let mut taken = log_failure(name.as_str(), self.ask(name).await).flatten();
            while let Some(held) = taken {
                tracing::info!(lease = %name, fence = held.lease.fence, "this replica holds the lease");
                gauge(name).set(1);
                taken = self.work_under(&held, job(Some(held.lease.clone()))).await;
            }
            gauge(name).set(0);
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = sleep(ASKING) => {}
            }
        }
    }

    /// Works until the job has ended, or the lease is lost; returns it when it has come back already.
    async fn work_under(&self, taken: &Taken, job: impl Future<Output = ()>) -> Option<Taken> {
        let lease = &taken.lease;
        let mut job = pin!(job);
        tokio::select! {
            biased;
            anew = self.keep(taken) => {
                tracing::warn!(lease = %lease.name, "the lease was lost; its job stops here");
                anew
            }
            () = &mut job => {
                log_failure(lease.name.as_str(), self.store.release_lease(lease).await);
                None
            }
        }
    }

    /// Renews the lease until another had it, or it could not be renewed for as long as it lasts.
    /// Returns the lease if the other has given it up since: there is no time then in which nobody works
    /// who would take a last turn.
    async fn keep(&self, taken: &Taken) -> Option<Taken> {
        let Lease { name, fence, .. } = taken.lease;
        let mut renewed_at = taken.asked_at;
        loop {
            let deadline = renewed_at + TERM;
            sleep_until(deadline.min(Instant::now() + RENEWAL)).await;
            if Instant::now() >= deadline {
                return None;
            }
            match timeout_at(deadline, self.ask(name)).await {
                Ok(Ok(Some(renewed))) if renewed.lease.fence == fence => {
                    renewed_at = renewed.asked_at;
                }
                Ok(Ok(anew)) => return anew,
                Ok(Err(error)) => {
                    log_failure::<()>(name.as_str(), Err(error));
                }
                Err(_) => return None,
            }
        }
    }

    async fn ask(&self, name: LeaseName) -> identity_store::Result<Option<Taken>> {
        let (asked_at, now) = (Instant::now(), self.clock.now());
        let until = now + TERM;
        let lease = self.store.acquire_lease(name, &self.id, now, until).await?;
        Ok(lease.map(|lease| Taken { lease, asked_at }))
    }
}

/// Whether this replica holds a lease.
fn gauge(name: LeaseName) -> metrics::Gauge {
    metrics::gauge!("leases_held", "lease" => name.as_str())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use identity_store::{LeaseStore as _, MemoryStore};
    use time::OffsetDateTime;
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::clock::entropy;

    const NAME: LeaseName = LeaseName::AuditSealer;

    /// Tells the time that tokio's tests move.
    #[derive(Debug)]
    struct TestClock(Instant);

    impl Clock for TestClock {
        fn now(&self) -> OffsetDateTime {
            OffsetDateTime::UNIX_EPOCH + self.0.elapsed()
        }
    }

    /// What replicas do, in the order they do it.
    struct Stage {
        store: Arc<MemoryStore>,
        clock: Arc<dyn Clock>,
        diary: mpsc::UnboundedSender<(&'static str, u64)>,
        read: Mutex<mpsc::UnboundedReceiver<(&'static str, u64)>>,
        since: Instant,
    }

    impl Stage {
        fn new() -> Self {
            let (diary, read) = mpsc::unbounded_channel();
            let since = Instant::now();
            Self {
                store: Arc::new(MemoryStore::new(entropy())),
                clock: Arc::new(TestClock(since)),
                diary,
                read: Mutex::new(read),
                since,
            }
        }

        fn replica_id(&self) -> ReplicaId {
            ReplicaId::generate(self.clock.now(), &mut entropy())
        }

        /// A replica whose job notes that it begins, and ends when the replica is stopped.
        fn replica(&self) -> (JoinHandle<()>, CancellationToken) {
            let stop = CancellationToken::new();
            let lessee = Lessee {
                id: self.replica_id(),
                store: Arc::<MemoryStore>::clone(&self.store),
                clock: Arc::clone(&self.clock),
                stop: stop.clone(),
            };
            let (diary, stopped) = (self.diary.clone(), stop.clone());
            let job = move |lease: Option<Lease>| {
                let (diary, stopped) = (diary.clone(), stopped.clone());
                async move {
                    let fence = lease.expect("a shared store").fence;
                    diary.send(("begins", fence)).expect("a reader");
                    stopped.cancelled().await;
                    diary.send(("last turn", fence)).expect("a reader");
                }
            };
            (tokio::spawn(lessee.run(NAME, job)), stop)
        }

        /// The next thing that a replica does, and the seconds that passed until then.
        async fn next(&self) -> (&'static str, u64, u64) {
            let (what, fence) =
                std::future::poll_fn(|context| self.read.lock().expect("whole").poll_recv(context))
                    .await
                    .expect("a writer");
            (what, fence, self.since.elapsed().as_secs())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_replica_works_and_another_follows_within_eleven_seconds_of_its_death() {
        let stage = Stage::new();
        let (first, _) = stage.replica();
        assert_eq!(stage.next().await, ("begins", 1, 0));
        let (_second, _) = stage.replica();
        sleep(Duration::from_secs(100)).await;
        first.abort();
        let (what, fence, seconds) = stage.next().await;
        assert_eq!((what, fence), ("begins", 2), "nobody else began before");
        assert!((100..=111).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_clean_stop_ends_with_a_last_turn_and_passes_the_lease_on_within_a_second() {
        let stage = Stage::new();
        let (first, stop) = stage.replica();
        assert_eq!(stage.next().await, ("begins", 1, 0));
        let (_second, _) = stage.replica();
        sleep(Duration::from_secs(30)).await;
        stop.cancel();
        assert_eq!(stage.next().await, ("last turn", 1, 30));
        first.await.expect("ended");
        let (what, fence, seconds) = stage.next().await;
        assert_eq!((what, fence), ("begins", 2));
        assert!((30..=31).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_whose_lease_passed_on_stops_and_comes_back_under_another_number() {
        let stage = Stage::new();
        let (_first, stop) = stage.replica();
        assert_eq!(stage.next().await, ("begins", 1, 0));
        // Another, to whom the holder seems to have slept: its clock is a minute ahead.
        let rival = stage.replica_id();
        let ahead = stage.clock.now() + Duration::from_secs(60);
        let taken = stage.store.acquire_lease(NAME, &rival, ahead, ahead + TERM);
        assert_eq!(taken.await.expect("stored").expect("taken").fence, 2);
        // No last turn was taken, and no time passes in which a stop would go without one.
        assert_eq!(stage.next().await, ("begins", 3, RENEWAL.as_secs()));
        stop.cancel();
        assert_eq!(stage.next().await.0, "last turn");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_waits_for_a_lease_stops_at_once() {
        let stage = Stage::new();
        let (_first, _) = stage.replica();
        assert_eq!(stage.next().await, ("begins", 1, 0));
        let (second, stop) = stage.replica();
        sleep(Duration::from_secs(5)).await;
        stop.cancel();
        second.await.expect("ended");
        assert_eq!(stage.since.elapsed().as_secs(), 5);
    }
}
