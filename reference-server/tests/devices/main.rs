//! The life of a device, told to the real binary over real TLS.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod bulk;
mod bulk_revocation;
mod ca_rotation;
mod ca_uploads;
mod calls;
mod export;
mod flood;
#[path = "../harness/mod.rs"]
mod harness;
mod http2;
mod import;
mod issuance;
mod pairing;
mod platform;
mod policy;
mod registry;
mod renewal;
mod renewal_grace;
mod revocation;
mod tenancy;
mod tokens;
