//! Why this crate is as it is, and how to use it. Text and examples, no code.
//!
//! - [`why_not_stock`]: what rustls' own client verifier leaves open for a fleet of devices.
//! - [`embedding`]: from a listener to requests of known devices.
//! - [`rotating_a_ca`]: from one CA to the next, on a server with open connections.
//! - [`revocation`]: how a denial reaches handshakes, open connections and other processes.
//! - [`attacks`]: what an attacker would try, and what stops each.

pub mod attacks;
pub mod embedding;
pub mod revocation;
pub mod rotating_a_ca;
pub mod why_not_stock;
