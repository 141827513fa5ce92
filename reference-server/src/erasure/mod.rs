//! Erasures of users: what proves them, and what keeps a restored backup from undoing them.

pub mod command;
mod receipt;
mod tombstone;

pub(crate) use receipt::{ErasureReceipt, StoreName};
pub use tombstone::TombstonesError;
pub(crate) use tombstone::log_tombstone;
