//! Identities for hardware: from a certificate signing request to a device certificate.
//!
//! Without default features the crate is identifiers and digests alone: [`TenantId`], [`DeviceId`],
//! [`DeviceIdentity`], [`Fingerprint`], [`TbsSha256`], [`SerialNumber`].

#[cfg(feature = "x509")]
#[macro_use]
mod code;

#[cfg(feature = "x509")]
mod ca;
#[cfg(feature = "x509")]
mod certificate;
#[cfg(feature = "x509")]
mod csr;
#[cfg(feature = "x509")]
mod der;
mod digest;
#[cfg(feature = "x509")]
mod ecdsa;
mod error;
#[cfg(feature = "x509")]
mod extension;
#[cfg(feature = "x509")]
#[doc(hidden)]
pub mod fuzzing;
mod id;
mod identity;
#[cfg(feature = "x509")]
mod key;
#[cfg(feature = "x509")]
mod oid;
#[cfg(feature = "pairing-code")]
mod pairing_code;
#[cfg(feature = "x509")]
mod pem;
#[cfg(feature = "x509")]
mod profile;
mod serial;

#[cfg(feature = "x509")]
pub use ca::{
    CA_VALIDITY, CaCertificate, CaRule, CaSigner, DEVICE_VALIDITY, Difference, IssuedCertificate,
    MAX_CA_CERTIFICATE_LEN, P256Signer, PlatformCa, SigningError, Terms, UnsignedCertificate,
};
#[cfg(feature = "x509")]
pub use certificate::CertificateRule;
#[cfg(feature = "x509")]
pub use csr::{CsrCategory, CsrPolicy, CsrReason, ECDSA_P256_SHA256, MAX_CSR_LEN, ValidatedCsr};
#[cfg(feature = "x509")]
pub use der::{DerError, DerRule};
pub use digest::{Fingerprint, PairingCodeHash, SpkiSha256, TbsSha256};
pub use error::Error;
#[cfg(feature = "x509")]
pub use extension::ExtensionRule;
pub use id::{DeviceId, IdRule, TenantId};
pub use identity::{DeviceIdentity, SanUriRule};
#[cfg(feature = "x509")]
pub use key::KeyRule;
#[cfg(feature = "pairing-code")]
pub use pairing_code::{PairingCode, PairingPepper};
#[cfg(feature = "x509")]
pub use pem::PemRule;
#[cfg(feature = "x509")]
pub use profile::{
    DeviceCertificate, MAX_DEVICE_CERTIFICATE_LEN, ProfileRule, ServerCertificate,
    ServerCertificateRule,
};
pub use serial::SerialNumber;

#[cfg(feature = "x509")]
pub(crate) use error::excerpt;
