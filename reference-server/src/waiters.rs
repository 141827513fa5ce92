//! Requests that wait for a change: one table for every long poll of this process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use identity_pki::{DeviceIdentity, TenantId};
use identity_store::ChallengeId;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a waiter trusts silence. A replica that dies between its commit and its notice leaves
/// others silent, so each waiter reads again after this time.
const REREAD: Duration = Duration::from_secs(10);

/// What a request can wait for a change of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// One challenge.
    Challenge(TenantId, ChallengeId),
    /// The open challenges of a device.
    Device(DeviceIdentity),
}

impl Topic {
    fn tenant_id(&self) -> &TenantId {
        match self {
            Self::Challenge(tenant_id, _) => tenant_id,
            Self::Device(identity) => identity.tenant_id(),
        }
    }
}

/// Who waits for what. A topic is in the table for as long as somebody waits for it.
#[derive(Debug, Default)]
pub struct Waiters {
    topics: Mutex<HashMap<Topic, Arc<Changes>>>,
}

/// The changes of one topic. A watch channel would do, and be six times as large, for each device that
/// waits.
#[derive(Debug, Default)]
struct Changes {
    count: AtomicU64,
    counted: Notify,
}

impl Changes {
    fn add_one(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
        self.counted.notify_waiters();
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Resolves when there are others than the first `known` ones.
    async fn beyond(&self, known: u64) {
        // What comes after this is heard, also before it is waited for.
        let counted = self.counted.notified();
        if self.count() == known {
            counted.await;
        }
    }
}

impl Waiters {
    /// Wakes everybody who waits for `topic`.
    pub fn notify(&self, topic: &Topic) {
        if let Some(changes) = self.lock().get(topic) {
            changes.add_one();
        }
    }

    /// Wakes everybody who waits for something of a tenant.
    pub fn notify_tenant(&self, tenant_id: &TenantId) {
        for (topic, changes) in self.lock().iter() {
            if topic.tenant_id() == tenant_id {
                changes.add_one();
            }
        }
    }

    /// Wakes everybody.
    pub fn notify_all(&self) {
        for changes in self.lock().values() {
            changes.add_one();
        }
    }

    /// Starts to listen, for `at_most` this long or until `stop` is cancelled: what changes after
    /// this call is heard.
    #[must_use]
    pub fn listen(
        self: &Arc<Self>,
        topic: Topic,
        at_most: Duration,
        stop: &CancellationToken,
    ) -> Waiter {
        let changes = Arc::clone(self.lock().entry(topic.clone()).or_default());
        Waiter {
            table: Arc::clone(self),
            topic,
            known: changes.count(),
            changes: Some(changes),
            deadline: Instant::now() + at_most,
            stop: stop.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Topic, Arc<Changes>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits for a [`Topic`]: reads what there is, and [again](Self::again) after each change.
#[derive(Debug)]
pub struct Waiter {
    table: Arc<Waiters>,
    topic: Topic,
    /// `None` when it is being dropped.
    changes: Option<Arc<Changes>>,
    known: u64,
    deadline: Instant,
    stop: CancellationToken,
}

impl Waiter {
    /// Waits until it is worth reading again: after a change, after ten seconds, at the end of the
    /// time. `false` at once when the time is over.
    pub async fn again(&mut self) -> bool {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let Some(changes) = self.changes.as_ref().filter(|_| !left.is_zero()) else {
            return false;
        };
        tokio::select! {
            () = self.stop.cancelled() => return false,
            () = changes.beyond(self.known) => self.known = changes.count(),
            () = tokio::time::sleep(left.min(REREAD)) => {}
        }
        true
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.changes = None;
        let mut topics = self.table.lock();
        if topics
            .get(&self.topic)
            .is_some_and(|changes| Arc::strong_count(changes) == 1)
        {
            topics.remove(&self.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use identity_pki::DeviceId;
    use time::OffsetDateTime;

    use super::*;

    fn topic() -> Topic {
        let tenant = TenantId::new("acme").unwrap();
        Topic::Device(DeviceIdentity::new(tenant, DeviceId::new("dev_1").unwrap()))
    }

    fn listen(table: &Arc<Waiters>, seconds: u64) -> Waiter {
        table.listen(
            topic(),
            Duration::from_secs(seconds),
            &CancellationToken::new(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_heard_at_once_also_one_before_the_waiting() {
        let table = Arc::new(Waiters::default());
        let mut waiter = listen(&table, 25);
        let started = Instant::now();
        table.notify(&topic());
        assert!(waiter.again().await);
        let (again, ()) = tokio::join!(waiter.again(), async { table.notify(&topic()) });
        assert!(again);
        assert_eq!(
            started.elapsed(),
            Duration::ZERO,
            "the change was not waited for, but heard"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_of_a_tenant_wakes_its_own_and_nobody_else() {
        let table = Arc::new(Waiters::default());
        let now = OffsetDateTime::UNIX_EPOCH;
        let challenge = ChallengeId::generate(now, &mut crate::clock::entropy());
        let topics = |id| {
            let tenant = TenantId::new(id).unwrap();
            let device = DeviceIdentity::new(tenant.clone(), DeviceId::new("dev_1").unwrap());
            [
                Topic::Challenge(tenant, challenge.clone()),
                Topic::Device(device),
            ]
        };
        let listen = |topic| table.listen(topic, REREAD, &CancellationToken::new());
        let (own, others) = (topics("acme").map(listen), topics("other").map(listen));
        let started = Instant::now();
        table.notify_tenant(&TenantId::new("acme").unwrap());
        for mut waiter in own {
            assert!(waiter.again().await);
        }
        assert_eq!(started.elapsed(), Duration::ZERO);
        for mut waiter in others {
            waiter.again().await;
        }
        assert_eq!(started.elapsed(), REREAD, "the others heard nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_checked_every_ten_seconds_until_the_time_is_over() {
        let table = Arc::new(Waiters::default());
        let mut waiter = listen(&table, 25);
        let mut reads = 1;
        while waiter.again().await {
            reads += 1;
        }
        assert_eq!(reads, 4);
        assert!(!listen(&table, 0).again().await, "no time is over at once");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_server_that_stops() {
        let (table, stop) = (Arc::new(Waiters::default()), CancellationToken::new());
        let mut waiter = table.listen(topic(), Duration::from_secs(25), &stop);
        let started = Instant::now();
        let (again, ()) = tokio::join!(waiter.again(), async { stop.cancel() });
        assert!(!again);
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_topic_leaves_the_table_with_its_last_waiter() {
        let table = Arc::new(Waiters::default());
        let (first, second) = (listen(&table, 5), listen(&table, 5));
        drop(first);
        assert_eq!(table.lock().len(), 1);
        drop(second);
        assert_eq!(table.lock().len(), 0);
        table.notify(&topic());
        assert_eq!(
            table.lock().len(),
            0,
            "a change that nobody waits for leaves nothing behind"
        );
    }
}
