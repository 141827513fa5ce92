//! What this process does when something changed, here or in another replica.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use identity_pki::DeviceIdentity;
use identity_store::{Notice, Origin, StoreObserver, Transaction, TransactionEnd, UnreadableValue};
use tokio::sync::Notify;

use crate::waiters::{Topic, Waiters};

/// Hears of every change, and wakes whoever has to read again. Each of them reads at intervals as
/// well: a notice makes them quick, not right.
#[derive(Debug, Default)]
pub struct Notices {
    /// Requests that wait for a change of a challenge.
    pub waiters: Arc<Waiters>,
    /// Other replicas denied certificates.
    pub denied: Notify,
    /// Other replicas changed the server's certificate or the CAs.
    pub certificates: Notify,
    /// Whether other replicas are not heard.
    is_deaf: AtomicBool,
    /// Whether the database may be another than before.
    restarted: AtomicBool,
}

impl Notices {
    /// Whether other replicas are not heard at the moment.
    #[must_use]
    pub fn is_deaf(&self) -> bool {
        self.is_deaf.load(Ordering::Relaxed)
    }

    /// Whether the connection to the database was lost since this was asked last. One that crashed, or
    /// a standby in its place, counts its transactions on from those that it had written down: a place
    /// in their order that was read before means another one now.
    #[must_use]
    pub fn take_restarted(&self) -> bool {
        self.restarted.swap(false, Ordering::Relaxed)
    }

    fn everything(&self) {
        self.denied.notify_one();
        self.certificates.notify_one();
        self.waiters.notify_all();
    }
}

impl StoreObserver for Notices {
    fn noticed(&self, notice: &Notice, origin: Origin) {
        match notice {
            // Who denies or stores here takes it up at once, and tells how many connections it closed.
            Notice::Denied | Notice::Certificates if origin == Origin::Here => {}
            Notice::Denied => self.denied.notify_one(),
            Notice::Certificates => self.certificates.notify_one(),
            Notice::Challenge {
                tenant_id,
                challenge_id,
                device_id,
            } => {
                let challenge = Topic::Challenge(tenant_id.clone(), challenge_id.clone());
                self.waiters.notify(&challenge);
                let device = DeviceIdentity::new(tenant_id.clone(), device_id.clone());
                self.waiters.notify(&Topic::Device(device));
            }
            Notice::Tenant { tenant_id } => self.waiters.notify_tenant(tenant_id),
            Notice::Deaf => self.is_deaf.store(true, Ordering::Relaxed),
            Notice::Lost => {
                if self.is_deaf.swap(false, Ordering::Relaxed) {
                    self.restarted.store(true, Ordering::Relaxed);
                }
                self.everything();
            }
            _ => self.everything(),
        }
    }

    fn transaction_ended(&self, transaction: &Transaction) {
        let name = transaction.name;
        let ended = match transaction.ended {
            TransactionEnd::Committed => "committed",
            TransactionEnd::Refused => "refused",
            TransactionEnd::Failed => "failed",
        };
        metrics::counter!("transactions_total", "name" => name, "ended" => ended).increment(1);
        metrics::counter!("transaction_retries_total", "name" => name)
            .increment(u64::from(transaction.tries.saturating_sub(1)));
        metrics::histogram!("transaction_duration_seconds", "name" => name)
            .record(transaction.took);
    }

    fn unreadable(&self, value: &UnreadableValue) {
        let (table, column) = (value.table, value.column);
        metrics::counter!("unreadable_values_total", "table" => table, "column" => column)
            .increment(1);
    }
}
