use std::fmt;

use p256::ecdsa::signature::Signer as _;
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, LineEnding};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::{Curve, Error, key};

/// Holds a CA's private key and signs with it, wherever the key is.
///
/// The interface is synchronous, as memory and PKCS #11 are. A signing service across a network
/// takes the bytes of [`UnsignedCertificate::tbs`](crate::UnsignedCertificate::tbs) instead.
pub trait CaSigner: Send + Sync + fmt::Debug {
    /// The `SubjectPublicKeyInfo` of the key, in DER: uncompressed P-256 or P-384.
    fn spki_der(&self) -> &[u8];

    /// Signs `message` and answers an `ECDSA-Sig-Value` in DER (RFC 3279 §2.2.3). The curve settles
    /// the algorithm: ecdsa-with-SHA256 on P-256, ecdsa-with-SHA384 on P-384 (RFC 5758 §3.2). The
    /// message is not hashed yet. Either value of s will do.
    ///
    /// # Errors
    ///
    /// [`SigningError`] when the key cannot be used now.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError>;
}

/// A signer did not give a usable signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the CA's signer failed: {reason}")]
pub struct SigningError {
    reason: String,
}

impl SigningError {
    /// A failure and its reason, which must not tell a secret.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

/// A P-256 or P-384 key in memory, in portable Rust. It is wiped when dropped.
pub struct SoftwareSigner {
    key: Key,
    spki: Vec<u8>,
}

enum Key {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
}

impl SoftwareSigner {
    /// Makes a new key, on P-256.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self::new(Key::P256(p256::ecdsa::SigningKey::generate_from_rng(rng)))
    }

    /// Reads a key on P-256 or P-384 in PEM: one `PRIVATE KEY` block (PKCS #8, RFC 5958).
    ///
    /// # Errors
    ///
    /// [`Error::PrivateKey`]; it does not say what was found, since that may be a secret.
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, Error> {
        let key = p256::ecdsa::SigningKey::from_pkcs8_pem(pem)
            .map(Key::P256)
            .or_else(|_| p384::ecdsa::SigningKey::from_pkcs8_pem(pem).map(Key::P384))
            .map_err(|_| Error::PrivateKey)?;
        Ok(Self::new(key))
    }

    /// The key in PEM, as [`from_pkcs8_pem`](Self::from_pkcs8_pem) reads it. Keep it encrypted.
    ///
    /// # Errors
    ///
    /// [`Error::PrivateKey`] when the key cannot be encoded.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, Error> {
        match &self.key {
            Key::P256(key) => key.to_pkcs8_pem(LineEnding::LF),
            Key::P384(key) => key.to_pkcs8_pem(LineEnding::LF),
        }
        .map_err(|_| Error::PrivateKey)
    }

    fn new(key: Key) -> Self {
        let spki = match &key {
            Key::P256(key) => {
                let point = key.verifying_key().to_sec1_point(false);
                key::write_spki(Curve::P256, point.as_bytes())
            }
            Key::P384(key) => {
                let point = key.verifying_key().to_sec1_point(false);
                key::write_spki(Curve::P384, point.as_bytes())
            }
        };
        Self { key, spki }
    }
}

impl CaSigner for SoftwareSigner {
    fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let signed = match &self.key {
            Key::P256(key) => key
                .try_sign(message)
                .map(|signature: p256::ecdsa::DerSignature| signature.as_bytes().to_vec()),
            Key::P384(key) => key
                .try_sign(message)
                .map(|signature: p384::ecdsa::DerSignature| signature.as_bytes().to_vec()),
        };
        signed.map_err(|_| SigningError::new("the key in memory could not sign"))
    }
}

impl fmt::Debug for SoftwareSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareSigner").finish_non_exhaustive()
    }
}
