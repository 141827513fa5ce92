//! The gate for certificate signing requests (PKCS #10, RFC 2986).

mod parse;
mod policy;
mod proof;
mod reason;

pub use policy::{CsrPolicy, MAX_CSR_LEN};
pub use proof::ECDSA_P256_SHA256;
pub(crate) use proof::check_signature;
pub use reason::{CsrCategory, CsrReason};

use crate::SpkiSha256;
use crate::key::P256Spki;

/// A request that passed the gate, reduced to the one thing that a certificate takes from it: the
/// public key, whose private half the requester proved to hold.
///
/// Only [`CsrPolicy`] makes one. Subject, attributes and extensions are gone on purpose, so that
/// nothing else of a request can reach a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatedCsr {
    key: P256Spki,
}

impl ValidatedCsr {
    /// The `SubjectPublicKeyInfo` as it stood in the request, byte for byte.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        self.key.as_bytes()
    }

    /// The name of the key pair.
    #[must_use]
    pub fn spki_sha256(&self) -> SpkiSha256 {
        self.key.sha256()
    }

    pub(crate) fn key(&self) -> P256Spki {
        self.key
    }
}
