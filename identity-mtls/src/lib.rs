//! Device mTLS for rustls: which certificates are denied.

mod denylist;

pub use denylist::{Denylist, DenylistSnapshot, Reload};
