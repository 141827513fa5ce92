//! Storage for the identity platform: traits whose documentation is their contract, a memory back
//! end that is their model, SQLite, and one conformance suite that both pass.

mod attempt;
mod audit_chain;
#[cfg(feature = "testing")]
pub mod conformance;
#[cfg(feature = "sqlite")]
mod crypter;
mod error;
mod id;
mod memory;
mod model;
mod posting;
#[cfg(feature = "sqlite")]
mod sqlite;
mod time_format;
mod traits;

pub use audit_chain::audit_hash;
#[cfg(feature = "sqlite")]
pub use crypter::{Crypter, DataKey};
pub use error::{Conflict, Entity, Error, Result};
pub use id::{
    AuditId, ChallengeId, ClientId, EventId, InternalUserId, OperatorId, SessionId, UserId,
    new_ulid,
};
pub use memory::MemoryStore;
pub use model::*;
#[cfg(feature = "sqlite")]
pub use sqlite::{Migrate, SqliteStore};
pub use time_format::rfc3339;
pub use traits::*;
