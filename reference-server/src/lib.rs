//! The identity platform's server: the one place where the crates of the workspace meet.
//!
//! - [`config`]: the environment.
//! - [`App`]: what routes and jobs share.
//! - [`http`]: the interface, one module for each group of routes.
//! - [`listener`]: connections, TLS handshakes, time-outs.
//! - [`palm`]: what happens to a palm sample.
//! - [`audit`]: signed heads, archives, verification and retention of the audit trail.
//! - [`jobs`]: background work.
//! - [`expiry`]: who is told that a certificate of the platform expires.
//! - [`mail`]: letters to people.
//! - [`erasure`]: receipts and tombstones of users who were erased.
//! - [`keys`]: the rotation of data keys.
//! - [`recovery`]: the last administrator, let in again.
//! - [`issuance`]: CSR gate, policy and CA on the way to a certificate.
//! - [`demo`]: the whole story on one machine.
//! - [`clock`]: the only clock and the only entropy.

mod app;
pub mod audit;
pub mod auth_notification;
pub mod authority;
pub mod backoff;
pub mod backup;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod denials;
mod descriptors;
pub mod erasure;
pub mod expiry;
pub mod http;
pub mod issuance;
pub mod jobs;
pub mod keys;
pub mod listener;
pub mod mail;
pub mod notices;
pub mod one_time_code;
pub mod palm;
mod panics;
pub mod password;
pub mod receipt;
pub mod recovery;
pub mod secrets;
mod seen;
pub mod serve;
mod start;
mod superseded;
pub mod telemetry;
pub mod tls;
pub mod token_keys;
pub mod tokens;
pub mod waiters;
pub mod webhooks;

pub use app::App;
pub use seen::Seen;
pub use start::StartError;
pub use superseded::Offered;
