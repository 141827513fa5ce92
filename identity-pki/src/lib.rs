//! Identities for hardware: from a certificate signing request to a device certificate.
//!
//! A device makes a key where it cannot be taken out, and sends a request for it (PKCS #10). This
//! crate decides whether the request may be answered, answers it with a certificate of one fixed
//! profile, and reads such certificates back. It does no I/O, reads no clock and draws no random
//! number by itself: time and randomness are arguments, and so are the signature algorithms.
//!
#![cfg_attr(feature = "x509", doc = "```")]
#![cfg_attr(not(feature = "x509"), doc = "```ignore")]
//! use identity_pki::{
//!     CA_VALIDITY, CsrCategory, CsrPolicy, DEVICE_VALIDITY, DeviceId, DeviceIdentity,
//!     ECDSA_P256_SHA256, PlatformCa, SoftwareSigner, TenantId, Terms,
//! };
//!
//! # let from_the_device = include_str!("../tests/data/device.csr.pem");
//! # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
//! # let now = time::macros::datetime!(2026-11-22 12:00 UTC);
//! // The gate: what passes is the device's key, and that it holds it.
//! let gate = CsrPolicy::new(ECDSA_P256_SHA256);
//! let csr = gate.check_pem(from_the_device)?;
//!
//! let reason = gate.check_pem("-----BEGIN PRIVATE KEY-----").unwrap_err();
//! assert_eq!((reason.category(), reason.code()), (CsrCategory::Malformed, "pem_label"));
//!
//! // The CA, which is made once and loaded at each start.
//! let late_clocks = time::Duration::minutes(5);
//! let terms = Terms::new(now, CA_VALIDITY, late_clocks);
//! let signer = Box::new(SoftwareSigner::generate(&mut rng));
//! let ca = PlatformCa::generate(signer, "Device CA", &terms, &mut rng)?;
//!
//! // The certificate: its names are the caller's, its key is the device's.
//! let identity = DeviceIdentity::new(TenantId::new("acme")?, DeviceId::new("dev_789")?);
//! let terms = Terms::new(now, DEVICE_VALIDITY, late_clocks);
//! let issued = ca.issue(&csr, &identity, &terms, &mut rng)?;
//! assert_eq!(issued.spki_sha256(), csr.spki_sha256());
//! println!("{}", issued.pem());
//! # Ok::<(), identity_pki::Error>(())
//! ```
//!
//! # From a request to a certificate
//!
//! 1. [`CsrPolicy`] reads a request as strict DER, judges key, attributes and extensions, and
//!    verifies the proof of possession. Each refusal is a [`CsrReason`] that names the rule, its
//!    clause and the value found. What passes is a [`ValidatedCsr`], which is the public key alone.
//! 2. [`PlatformCa`] signs for a [`ValidatedCsr`] and nothing else. Subject and name come from a
//!    [`DeviceIdentity`] of the caller's, so nothing that a device asks for reaches its certificate.
//!    The key may be in memory ([`SoftwareSigner`]), in a hardware security module (feature
//!    `pkcs11`), behind any other [`CaSigner`], or in a service that signs between
//!    [`CaCertificate::prepare`] and [`UnsignedCertificate::complete`].
//! 3. [`IssuedCertificate`] was read back by a second, independent parser and compared field by
//!    field before anyone gets it.
//! 4. [`PlatformCa::issue_crl`] says which of them are revoked, for servers that are not ours; see
//!    [revocation lists](manual::revocation_lists).
//! 5. [`DeviceCertificate`] is how a server reads what a client presents. `identity-mtls` does the
//!    rest: path, time, denylist.
//!
//! The [`manual`] tells why the gate is so strict, how to embed it, how to keep the CA's key in a
//! token, how to rotate a CA, and which attacks are stopped by what.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `x509` (default) | the gate, the profiles, the CA, [`ServerCertificate`] |
//! | `pairing-code` (default) | [`PairingCode`], [`EnrollmentSecret`], their pepper and their hash |
//! | `pkcs11` | `Pkcs11Signer`: a CA key in a hardware security module, by the vendor's library; the one thing here that does I/O |
//! | `serde` | `Serialize` and `Deserialize` of [`TenantId`], [`DeviceId`], [`CaState`] and [`ExpiryKind`] |
//!
//! Without features the crate is identifiers and digests, [`TenantId`], [`DeviceId`], [`DeviceIdentity`],
//! [`Fingerprint`], [`TbsSha256`], [`SpkiSha256`], [`SerialNumber`], the life of CAs, [`CaRotation`], and
//! when people are told of an expiry, [`ExpiryThreshold`].

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
mod curve;
#[cfg(feature = "x509")]
mod der;
mod digest;
#[cfg(feature = "x509")]
mod ecdsa;
#[cfg(feature = "pairing-code")]
mod enrollment_secret;
mod error;
mod expiry;
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
pub mod manual;
#[cfg(feature = "x509")]
mod oid;
#[cfg(feature = "pairing-code")]
mod pairing_code;
#[cfg(feature = "x509")]
mod pem;
#[cfg(feature = "x509")]
mod profile;
mod rotation;
mod serial;

#[cfg(feature = "x509")]
pub use ca::{
    CA_VALIDITY, CaCertificate, CaRule, CaSigner, Crl, CrlDifference, CrlNumber, DEVICE_VALIDITY,
    Difference, IssuedCertificate, MAX_CA_CERTIFICATE_LEN, PlatformCa, RevocationReason,
    RevokedCertificate, SigningError, SoftwareSigner, Terms, UnsignedCertificate, UnsignedCrl,
};
#[cfg(feature = "pkcs11")]
pub use ca::{KeyName, Pkcs11Reason, Pkcs11Signer, Pkcs11Token, TokenId, TokenPin};
#[cfg(feature = "x509")]
pub use certificate::CertificateRule;
#[cfg(feature = "x509")]
pub use csr::{CsrCategory, CsrPolicy, CsrReason, ECDSA_P256_SHA256, MAX_CSR_LEN, ValidatedCsr};
#[cfg(feature = "x509")]
pub use curve::Curve;
#[cfg(feature = "x509")]
pub use der::{DerError, DerRule};
pub use digest::{Fingerprint, PairingCodeHash, SpkiSha256, TbsSha256};
#[cfg(feature = "pairing-code")]
pub use enrollment_secret::EnrollmentSecret;
pub use error::Error;
pub use expiry::{ExpiryKind, ExpiryThreshold, days_remaining};
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
    ServerCertificateRule, ServerCertificateWarning,
};
pub use rotation::{CaRotation, CaState, RotationRule};
pub use serial::SerialNumber;

#[cfg(feature = "x509")]
pub(crate) use error::excerpt;
