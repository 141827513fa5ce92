//! Storage for the identity platform: traits whose documentation is their contract, a memory back
//! end that is their model, SQLite and PostgreSQL, and one conformance suite that all of them pass.
//!
//! A method that changes something is one transaction: it commits the data, an audit row and an
//! outbox row for each event, and the answer for a repetition of the request, or nothing. It runs to
//! its end also when the caller's future is dropped. Time, actor and request come in with a
//! [`Change`]; the store reads no clock.
//!
//! ```
//! use identity_store::{Actor, AuditStore as _, Chain, Change, MemoryStore, TenantStore as _};
//! use time::OffsetDateTime;
//!
//! # fn entropy() -> impl rand_core::CryptoRng + Send { rand_core::UnwrapErr(getrandom::SysRng) }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let now = OffsetDateTime::UNIX_EPOCH;
//! let store = MemoryStore::new(entropy());
//! let change = Change::new(now, Actor::System("set_up"), "request_1");
//! store.create_tenant(change, "acme".parse()?, "Acme".to_owned()).await?;
//!
//! // A row gets its place in the hash chain afterwards, so that writers do not queue for it.
//! assert_eq!(store.seal_audit(100).await?.rows, 1);
//! let sealed = store.sealed_audit(&Chain::Platform, 0, 100).await?;
//! assert_eq!(sealed[0].row.action, "tenant_created");
//! # Ok(())
//! # }
//! ```
//!
//! # Topics
//!
//! - [`Store`]: everything that a back end does, in a trait for each topic: [`TenantStore`],
//!   [`DeviceStore`], [`CertificateStore`], [`UserStore`], [`ChallengeStore`], [`OperatorStore`],
//!   [`SecondFactorStore`], [`ClientStore`], [`TokenKeyStore`], [`TokenStore`], [`BackchannelStore`],
//!   [`SecretStore`], [`IdempotencyStore`], [`AuditStore`], [`AuditArchiveStore`], [`LeaseStore`], [`RateLimitStore`],
//!   [`JobStore`].
//! - [`MemoryStore`]: the model, for tests.
#![cfg_attr(
    any(feature = "postgres", feature = "sqlite"),
    doc = "- [`SqlStore`]: SQLite in a file or PostgreSQL; [`Crypter`] encrypts its secret columns under the data key."
)]
//! - [`StoreObserver`]: who hears of changes, those of other processes too, and of transactions.
//! - [`ChainWalk`]: how anyone can verify an exported audit chain; [`audit_hash`] is its one step.
//! - [`Error`]: not found, a [`Conflict`], a refusal of `identity-challenge`, or the back end's failure.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `sqlite` (default) | SQLite and column encryption |
//! | `postgres` | PostgreSQL and column encryption |
//! | `testing` | the conformance suite, for a back end outside this crate |

mod attempt;
mod audit_chain;
mod backchannel;
#[cfg(feature = "sqlite")]
mod backup;
mod ca_rotation;
#[cfg(feature = "testing")]
pub mod conformance;
#[cfg(feature = "crypter")]
#[cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    expect(
        dead_code,
        reason = "only back ends encrypt; the fuzz target opens values"
    )
)]
mod crypter;
mod error;
#[cfg(feature = "crypter")]
#[doc(hidden)]
pub mod fuzzing;
mod id;
mod memory;
mod model;
mod observer;
mod posting;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
mod time_format;
mod traits;

pub use audit_chain::{BrokenChain, ChainFault, ChainWalk, audit_hash};
#[cfg(feature = "sqlite")]
pub use backup::{Backup, back_up};
#[cfg(feature = "crypter")]
pub use crypter::{Crypter, DataKey};
pub use error::{Conflict, Entity, Error, Result, Unreadable};
pub use id::{
    AuditId, ChallengeId, ClientId, DeliveryId, ErasureId, EventId, InternalUserId, JobId,
    OperatorId, ReplicaId, SessionId, TotpId, UserId, WebhookId, new_ulid,
};
pub use memory::MemoryStore;
pub use model::*;
pub use observer::{Notice, Origin, StoreObserver, Transaction, TransactionEnd, UnreadableValue};
#[cfg(all(feature = "postgres", feature = "testing"))]
#[doc(hidden)]
pub use sql::postgres_testing;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use sql::{Migrate, PoolOptions, Rotation, RotationProgress, SqlStore};
pub use time_format::rfc3339;
pub use traits::*;
