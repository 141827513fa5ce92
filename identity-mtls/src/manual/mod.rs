//! Why this crate is as it is, and how to use it. Text, no code.
//!
//! - [`why_not_stock`]: what rustls' own client verifier leaves open for a fleet of devices.
//! - [`revocation`]: how a denial reaches handshakes, open connections and other processes.
//! - [`attacks`]: what an attacker would try, and what stops each.

pub mod attacks;
pub mod revocation;
pub mod why_not_stock;
