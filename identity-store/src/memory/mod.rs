//! The model that every back end is compared with: plain values behind one mutex. Obviously right
//! rather than fast: a change works on a copy of everything, and a refused one throws it away.

mod attempts;
mod audit;
mod audit_archive;
mod backchannel;
mod certificates;
mod challenges;
mod clients;
mod deliveries;
mod device_policy;
mod devices;
mod erasures;
mod expiry_alerts;
mod idempotency;
mod jobs;
mod leases;
mod listing;
mod operators;
mod pairing;
mod rate_limits;
mod second_factor;
mod secrets;
mod state;
mod tenants;
mod token_keys;
mod tokens;
mod transaction;
mod user_erasures;
mod users;
mod webhooks;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use rand_core::CryptoRng;

use self::state::State;
use self::transaction::Transaction;
use crate::observer::Observers;
use crate::posting::{Entropy, to_millisecond};
use crate::{Change, Origin, Result, Store, StoreObserver};

/// A back end that keeps everything in memory, for tests and as the model of the others.
///
/// ```
/// use identity_store::{MemoryStore, TenantStore as _};
///
/// # fn entropy() -> impl rand_core::CryptoRng + Send { rand_core::UnwrapErr(getrandom::SysRng) }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::new(entropy());
/// assert_eq!(store.tenant(&"acme".parse()?).await?, None);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    entropy: Entropy,
    observers: Observers,
}

impl MemoryStore {
    /// An empty store that draws the ids of audit rows and events from `rng`.
    #[must_use]
    pub fn new(rng: impl CryptoRng + Send + 'static) -> Self {
        Self {
            state: Mutex::new(State::default()),
            entropy: Entropy::new(rng),
            observers: Observers::default(),
        }
    }

    /// The state, for reads and for writes that are no [`Change`]. A panic elsewhere left it whole:
    /// it is replaced in one assignment.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a transaction on a copy of the state, and puts the copy in place if all of it went well.
    fn commit<T>(
        &self,
        mut change: Change,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        change.at = to_millisecond(change.at);
        let mut state = self.state();
        let mut transaction = Transaction::new(state.clone(), change, &self.entropy);
        let value = work(&mut transaction)?;
        let (next, notices) = transaction.finish()?;
        *state = next;
        drop(state);
        for notice in &notices {
            self.observers.noticed(notice, Origin::Here);
        }
        Ok(value)
    }
}

#[async_trait]
impl Store for MemoryStore {
    /// Tests let several servers of one process work on it.
    fn is_shared(&self) -> bool {
        true
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn observe(&self, observer: Arc<dyn StoreObserver>) {
        self.observers.add(observer);
    }

    async fn close(&self) {}
}
