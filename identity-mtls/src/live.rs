use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::{Denylist, TrustBundle, VerifiedDevice};

/// The connections of verified devices that are open in this process, so that a revocation reaches
/// those that are already past their handshake.
///
/// Each connection's task [registers](Self::register) after the handshake, keeps the guard for as
/// long as the connection lives, and ends it when [`LiveConnection::closed`] resolves. The
/// application calls [`re_decide`](Self::re_decide) after each publication of the denylist and after
/// each change of the accepted CAs, and [`close_expired`](Self::close_expired) when the
/// [next expiry](Self::next_expiry) has passed.
///
/// It is cheap to clone; clones are the same registry.
#[derive(Debug, Clone)]
pub struct LiveConnections {
    denylist: Arc<Denylist>,
    open: Arc<Mutex<OpenConnections>>,
}

#[derive(Debug, Default)]
struct OpenConnections {
    next_id: u64,
    by_id: HashMap<u64, OpenConnection>,
    /// Those that were not told to close, in the order in which they expire.
    by_expiry: BTreeSet<(OffsetDateTime, u64)>,
}

#[derive(Debug)]
struct OpenConnection {
    device: VerifiedDevice,
    closing: Arc<Closing>,
}

/// Whether a connection has to close. A watch channel would do, and be six times as large, for each
/// connection that is open.
#[derive(Debug, Default)]
struct Closing {
    told: AtomicBool,
    changed: Notify,
}

impl Closing {
    /// Tells the connection to close; whether it was not told before.
    fn tell(&self) -> bool {
        let is_first = !self.told.swap(true, Ordering::AcqRel);
        self.changed.notify_waiters();
        is_first
    }

    fn is_told(&self) -> bool {
        self.told.load(Ordering::Acquire)
    }

    /// Resolves when the connection has to close.
    async fn wait(&self) {
        // What comes after this is heard, also before it is waited for.
        let changed = self.changed.notified();
        if !self.is_told() {
            changed.await;
        }
    }
}

impl LiveConnections {
    /// An empty registry of connections that were accepted under `denylist`.
    #[must_use]
    pub fn new(denylist: Arc<Denylist>) -> Self {
        Self {
            denylist,
            open: Arc::default(),
        }
    }

    /// Registers a connection of `device`.
    ///
    /// A device that was denied after its handshake, but before this call, gets a guard that is
    /// closed at once: no publication falls between the two.
    #[must_use = "dropping the guard takes the connection out of the registry"]
    pub fn register(&self, device: VerifiedDevice) -> LiveConnection {
        let closing = Arc::new(Closing::default());
        let tbs_sha256 = device.tbs_sha256();
        let mut open = lock(&self.open);
        let id = open.next_id;
        open.next_id += 1;
        let expires_at = device.expires_at();
        let connection = OpenConnection {
            device: device.clone(),
            closing: Arc::clone(&closing),
        };
        // Within the lock: a publication that this look misses is followed by a `re_decide` that
        // finds the connection.
        let denylist = self.denylist.snapshot();
        if denylist.is_none_or(|denylist| denylist.contains(&tbs_sha256)) {
            closing.tell();
        } else {
            open.by_expiry.insert((expires_at, id));
        }
        open.by_id.insert(id, connection);
        LiveConnection {
            id,
            device,
            closing,
            open: Arc::clone(&self.open),
        }
    }

    /// Tells the connections of the devices that `is_meant` picks to close, and returns how many
    /// were not told before.
    ///
    /// `is_meant` must not use the registry.
    pub fn close_where(&self, is_meant: impl Fn(&VerifiedDevice) -> bool) -> usize {
        let mut open = lock(&self.open);
        let OpenConnections {
            by_id, by_expiry, ..
        } = &mut *open;
        let meant = by_id.iter().filter(|(_, open)| is_meant(&open.device));
        let told = meant.filter(|(id, open)| {
            by_expiry.remove(&(open.device.expires_at(), **id));
            open.closing.tell()
        });
        told.count()
    }

    /// How many connections of the devices that `is_meant` picks are open and were not told to close.
    ///
    /// `is_meant` must not use the registry.
    #[must_use]
    pub fn count_where(&self, is_meant: impl Fn(&VerifiedDevice) -> bool) -> usize {
        let open = lock(&self.open);
        let meant = open.by_id.values().filter(|open| is_meant(&open.device));
        meant.filter(|open| !open.closing.is_told()).count()
    }

    /// Tells the connections to close whose certificate, or whose CA, is expired at `now`, and returns
    /// how many those are. It looks at those alone, so it may be called often.
    pub fn close_expired(&self, now: OffsetDateTime) -> usize {
        let mut open = lock(&self.open);
        let mut told = 0;
        while let Some((expires_at, id)) = open.by_expiry.first().copied()
            && expires_at < now
        {
            open.by_expiry.pop_first();
            told += usize::from(open.by_id.get(&id).is_some_and(|open| open.closing.tell()));
        }
        told
    }

    /// The last moment at which none of the connections that were not told to close is expired;
    /// `None` when there is none. The next one that is registered may expire sooner.
    #[must_use]
    pub fn next_expiry(&self) -> Option<OffsetDateTime> {
        let open = lock(&self.open);
        open.by_expiry.first().map(|(expires_at, _)| *expires_at)
    }

    /// Tells the connections to close whose certificate is now denied or expired, or whose CA is no
    /// longer accepted or valid, or all of them when the denylist is too old to say, and returns how many were not told before.
    pub fn re_decide(&self, now: OffsetDateTime, trust: &TrustBundle) -> usize {
        let denylist = self.denylist.snapshot();
        self.close_where(|device| device.recheck(now, trust, denylist.as_deref()).is_err())
    }

    /// How many connections are registered, those included that were told to close.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.open).by_id.len()
    }

    /// Whether no connection is registered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One registered connection; dropping it takes the connection out of the registry.
#[must_use = "dropping it takes the connection out of the registry"]
pub struct LiveConnection {
    id: u64,
    device: VerifiedDevice,
    closing: Arc<Closing>,
    open: Arc<Mutex<OpenConnections>>,
}

impl LiveConnection {
    /// Who is at the other end.
    #[must_use]
    pub fn device(&self) -> &VerifiedDevice {
        &self.device
    }

    /// Resolves when the connection has to close, at once if it already had to. Cancel-safe.
    pub async fn closed(&self) {
        self.closing.wait().await;
    }

    /// Whether the connection has to close.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closing.is_told()
    }
}

impl Drop for LiveConnection {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        if let Some(closed) = open.by_id.remove(&self.id) {
            open.by_expiry
                .remove(&(closed.device.expires_at(), self.id));
        }
    }
}

impl fmt::Debug for LiveConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveConnection")
            .field("id", &self.id)
            .field("device", &self.device)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

fn lock(open: &Mutex<OpenConnections>) -> MutexGuard<'_, OpenConnections> {
    // Only a caller's predicate can panic under the lock, and it changes nothing.
    open.lock().unwrap_or_else(PoisonError::into_inner)
}
