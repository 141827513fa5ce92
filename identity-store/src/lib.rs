//! Storage for the identity platform: traits whose documentation is their contract, a memory back
//! end that is their model, SQLite, and one conformance suite that both pass.

mod attempt;
mod audit_chain;
#[cfg(feature = "testing")]
pub mod conformance;
mod error;
mod id;
mod memory;
mod model;
mod posting;
mod time_format;
mod traits;

pub use audit_chain::audit_hash;
pub use error::{Conflict, Entity, Error, Result};
pub use id::{
    AuditId, ChallengeId, ClientId, EventId, InternalUserId, OperatorId, SessionId, UserId,
    new_ulid,
};
pub use memory::MemoryStore;
pub use model::*;
pub use time_format::rfc3339;
pub use traits::*;
