//! What a back end does. The documentation of each method is its contract; the
//! conformance suite (feature `testing`) checks it.
//!
//! A method that takes a [`Change`](crate::Change) is one transaction, named after the method. It
//! either commits everything that its documentation names — the data, an audit row for each event
//! (unless the tenant switched its audit off), an outbox row for each event with a webhook, and the
//! answer to keep for a repeated request — or it changes nothing and says why. Once it was called it
//! runs to its end, also when the caller's future is dropped.
//!
//! A change with an answer commits only while its run of the request has the key reserved, unanswered,
//! otherwise it is [`Conflict::RequestAnswered`](crate::Conflict::RequestAnswered): of any number of runs
//! of one request, one commits, and none under a key that another request took. A method that makes something under an id, a code or a serial number that
//! is taken answers [`Conflict::IdTaken`](crate::Conflict::IdTaken). A change under a lease commits
//! only while no other replica has had it since, otherwise it is
//! [`Conflict::LeaseLost`](crate::Conflict::LeaseLost).
//!
//! A time is over at the moment that it names: a code, a lease, a session or an answer counts while
//! `now` is before it. A certificate is valid through its `not_after` (RFC 5280 §4.1.2.5).

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
mod operators;
mod rate_limits;
mod second_factor;
mod secrets;
mod tenants;
mod token_keys;
mod tokens;
mod users;
mod webhooks;

pub use audit::AuditStore;
pub use audit_archive::AuditArchiveStore;
pub use backchannel::BackchannelStore;
pub use certificates::CertificateStore;
pub use challenges::ChallengeStore;
pub use clients::ClientStore;
pub use deliveries::DeliveryStore;
pub use device_policy::DevicePolicyStore;
pub use devices::DeviceStore;
pub use erasures::ErasureStore;
pub use expiry_alerts::ExpiryAlertStore;
pub use idempotency::IdempotencyStore;
pub use jobs::JobStore;
pub use leases::LeaseStore;
pub use operators::OperatorStore;
pub use rate_limits::RateLimitStore;
pub use second_factor::SecondFactorStore;
pub use secrets::SecretStore;
pub use tenants::TenantStore;
pub use token_keys::TokenKeyStore;
pub use tokens::TokenStore;
pub use users::UserStore;
pub use webhooks::WebhookStore;

use std::sync::Arc;

use crate::{Result, StoreObserver};

/// A whole back end.
#[async_trait::async_trait]
pub trait Store:
    AuditArchiveStore
    + AuditStore
    + BackchannelStore
    + CertificateStore
    + ChallengeStore
    + ClientStore
    + DeliveryStore
    + DevicePolicyStore
    + DeviceStore
    + ErasureStore
    + ExpiryAlertStore
    + IdempotencyStore
    + JobStore
    + LeaseStore
    + OperatorStore
    + RateLimitStore
    + SecondFactorStore
    + SecretStore
    + TenantStore
    + TokenKeyStore
    + TokenStore
    + UserStore
    + WebhookStore
    + std::fmt::Debug
    + Send
    + Sync
    + 'static
{
    /// Whether other processes may work on the same database. Then what has to hold over all of them
    /// is kept in it: leases of jobs, and buckets of rate limits. A process that is alone does the
    /// jobs, and keeps the buckets in memory, which costs no write to the disk.
    fn is_shared(&self) -> bool;

    /// Whether the database answers and has a schema that this version works with; and, when it
    /// failed in a change, whether it takes a write again. A schema that became newer since the store
    /// was opened is one: migrations run beside the processes of the release before.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`](crate::Error::Backend) when it does not answer, and
    /// [`Error::SchemaOlder`](crate::Error::SchemaOlder).
    async fn check(&self) -> Result<()>;

    /// Tells `observer` from now on what changes, here and in other processes that share the database,
    /// and which transactions end.
    fn observe(&self, observer: Arc<dyn StoreObserver>);

    /// Ends open transactions and closes the connections. What the database does not answer within a few
    /// seconds is left as it is.
    async fn close(&self);
}
