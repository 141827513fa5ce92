use std::fmt;

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, LineEnding};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::{Error, key};

/// Holds a CA's private key and signs with it, wherever the key is.
///
/// The interface is synchronous, as memory and PKCS #11 are. A signing service across a network
/// takes the bytes of [`UnsignedCertificate::tbs`](crate::UnsignedCertificate::tbs) instead.
pub trait CaSigner: Send + Sync + fmt::Debug {
    /// The `SubjectPublicKeyInfo` of the key, in DER: uncompressed P-256.
    fn spki_der(&self) -> &[u8];

    /// Signs `message` by ecdsa-with-SHA256 and answers an `ECDSA-Sig-Value` in DER. The message is
    /// not hashed yet. Either value of s will do.
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

/// A P-256 key in memory, in portable Rust. It is wiped when dropped.
pub struct SoftwareSigner {
    key: SigningKey,
    spki: Vec<u8>,
}

impl SoftwareSigner {
    /// Makes a new key.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self::new(SigningKey::generate_from_rng(rng))
    }

    /// Reads a key in PEM: one `PRIVATE KEY` block (PKCS #8, RFC 5958).
    ///
    /// # Errors
    ///
    /// [`Error::PrivateKey`]; it does not say what was found, since that may be a secret.
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, Error> {
        let key = SigningKey::from_pkcs8_pem(pem).map_err(|_| Error::PrivateKey)?;
        Ok(Self::new(key))
    }

    /// The key in PEM, as [`from_pkcs8_pem`](Self::from_pkcs8_pem) reads it. Keep it encrypted.
    ///
    /// # Errors
    ///
    /// [`Error::PrivateKey`] when the key cannot be encoded.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, Error> {
        self.key
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|_| Error::PrivateKey)
    }

    fn new(key: SigningKey) -> Self {
        let spki = key::write_spki(key.verifying_key());
        Self { key, spki }
    }
}

impl CaSigner for SoftwareSigner {
    fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let signature: DerSignature = self
            .key
            .try_sign(message)
            .map_err(|_| SigningError::new("the key in memory could not sign"))?;
        Ok(signature.as_bytes().to_vec())
    }
}

impl fmt::Debug for SoftwareSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareSigner").finish_non_exhaustive()
    }
}
