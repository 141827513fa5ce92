//! Who is told of what happens in a store.

use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use identity_pki::{DeviceId, TenantId};

use crate::ChallengeId;

/// Something changed, in this process or in another that shares the database.
///
/// A notice is a reason to read again, not a promise: it is told after the commit, and the way from
/// another process may lose it. What must not be missed is read at intervals as well.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Notice {
    /// Certificates were denied.
    Denied,
    /// The server's certificate or the platform's CAs changed.
    Certificates,
    /// A challenge was created or changed.
    Challenge {
        /// Whose it is.
        tenant_id: TenantId,
        /// Which.
        challenge_id: ChallengeId,
        /// Where it is to be answered.
        device_id: DeviceId,
    },
    /// A tenant was suspended or activated.
    Tenant {
        /// Which.
        tenant_id: TenantId,
    },
    /// Other processes are not heard from now on, until [`Lost`](Self::Lost) is told.
    Deaf,
    /// Other processes are heard from now on, and notices of theirs may have been lost: anything may
    /// have changed.
    Lost,
}

/// Where something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// In this process.
    Here,
    /// In another that shares the database.
    Elsewhere,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionEnd {
    /// What it wrote is there.
    Committed,
    /// The state of things did not allow it, and nothing was written.
    Refused,
    /// The database failed or stayed busy.
    Failed,
}

/// A transaction that ended.
#[derive(Debug, Clone, Copy)]
pub struct Transaction {
    /// What it is called: the trait's method.
    pub name: &'static str,
    /// How often it was tried.
    pub tries: u32,
    /// How it ended.
    pub ended: TransactionEnd,
    /// How long all its tries took, from the call on.
    pub took: Duration,
}

/// A stored value that no data key opens. It was left out of the object that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnreadableValue {
    /// The table that holds it.
    pub table: &'static str,
    /// The column that holds it.
    pub column: &'static str,
}

/// Is told of what happens in a store, in the task in which it happens: an observer does not block.
pub trait StoreObserver: Debug + Send + Sync {
    /// Something changed.
    fn noticed(&self, notice: &Notice, origin: Origin);

    /// A transaction ended. A back end without transactions never says so.
    fn transaction_ended(&self, transaction: &Transaction);

    /// A value was left out of an object that was read. A back end without encryption never says so.
    fn unreadable(&self, value: &UnreadableValue);
}

/// The observers of one process among those that share a database.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
#[cfg_attr(
    not(feature = "postgres"),
    expect(dead_code, reason = "nobody else is on a SQLite database")
)]
#[derive(Debug, Clone)]
pub(crate) struct Observed {
    pub(crate) observers: std::sync::Arc<Observers>,
    /// By which the process knows what it said itself.
    pub(crate) process: u64,
}

/// The observers of a back end.
#[derive(Debug, Default)]
pub(crate) struct Observers(RwLock<Vec<Arc<dyn StoreObserver>>>);

impl Observers {
    pub(crate) fn add(&self, observer: Arc<dyn StoreObserver>) {
        let mut observers = self.0.write().unwrap_or_else(PoisonError::into_inner);
        observers.push(observer);
    }

    pub(crate) fn noticed(&self, notice: &Notice, origin: Origin) {
        self.each(|observer| observer.noticed(notice, origin));
    }

    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn transaction_ended(&self, transaction: &Transaction) {
        self.each(|observer| observer.transaction_ended(transaction));
    }

    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn unreadable(&self, value: &UnreadableValue) {
        self.each(|observer| observer.unreadable(value));
    }

    fn each(&self, tell: impl FnMut(&Arc<dyn StoreObserver>)) {
        let observers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        observers.iter().for_each(tell);
    }
}
