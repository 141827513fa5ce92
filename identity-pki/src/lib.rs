//! Identities for hardware: from a certificate signing request to a device certificate.
//!
//! Without default features the crate is identifiers and digests alone: [`TenantId`], [`DeviceId`],
//! [`DeviceIdentity`], [`Fingerprint`], [`TbsSha256`], [`SerialNumber`].

mod digest;
mod error;
mod id;
mod identity;
mod serial;

pub use digest::{Fingerprint, PairingCodeHash, SpkiSha256, TbsSha256};
pub use error::Error;
pub use id::{DeviceId, IdRule, TenantId};
pub use identity::{DeviceIdentity, SanUriRule};
pub use serial::SerialNumber;
