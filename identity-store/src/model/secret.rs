use std::collections::BTreeSet;

use identity_pki::{CaState, Fingerprint, SpkiSha256};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::Event;
use crate::Conflict;

/// A private key, PEM. Back ends that write to disk encrypt it.
#[derive(Clone)]
pub struct PrivateKeyPem(Zeroizing<String>);

impl PrivateKeyPem {
    /// Takes a key out of sight.
    #[must_use]
    pub fn new(pem: impl Into<String>) -> Self {
        Self(Zeroizing::new(pem.into()))
    }

    /// The key, for the one who signs with it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PrivateKeyPem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKeyPem(..)")
    }
}

/// A secret of the platform itself.
#[derive(Clone)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes a secret out of sight.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The secret, for the one who uses it.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretBytes(..)")
    }
}

/// The platform's own secrets, each made once, at first need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum NamedSecret {
    /// Keys the look-up hash of pairing codes.
    PairingPepper,
    /// Keys the digests of palm samples.
    SampleDigestKey,
    /// Signs access tokens and verification receipts: PKCS#8, P-256.
    TokenSigningKey,
    /// Keys the digests by which console users are found whose addresses are encrypted.
    EmailDigestKey,
}

impl NamedSecret {
    /// Every one.
    pub const ALL: [Self; 4] = [
        Self::PairingPepper,
        Self::SampleDigestKey,
        Self::TokenSigningKey,
        Self::EmailDigestKey,
    ];

    /// Its name in `platform_secrets`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PairingPepper => "pairing_pepper",
            Self::SampleDigestKey => "sample_digest_key",
            Self::TokenSigningKey => "token_signing_key",
            Self::EmailDigestKey => "email_digest_key",
        }
    }
}

/// The server's TLS certificate, without its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerCertRecord {
    /// SHA-256 of the leaf.
    pub fingerprint: Fingerprint,
    /// Leaf, then the rest of the chain, PEM.
    pub chain_pem: String,
    /// When the leaf expires.
    pub not_after: OffsetDateTime,
}

/// A key that was made elsewhere, and the certificates of the platform whose keys are others. Stores read
/// no certificates, so that whoever uploads one compares its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedKey {
    /// Its name.
    pub spki_sha256: SpkiSha256,
    /// The certificates that it was compared with: the CAs', in whatever state, and for a CA's key the
    /// server's.
    pub with: BTreeSet<Fingerprint>,
}

impl ComparedKey {
    /// Refuses a key that was not compared with every certificate of `known`.
    pub(crate) fn check(
        &self,
        known: impl IntoIterator<Item = Fingerprint>,
    ) -> Result<(), Conflict> {
        let mut known = known.into_iter();
        if known.all(|certificate| self.with.contains(&certificate)) {
            Ok(())
        } else {
            Err(Conflict::KeyNotCompared)
        }
    }
}

/// Where a platform CA comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaOrigin {
    /// It was made here.
    Generated,
    /// It was made elsewhere, and uploaded.
    Uploaded(ComparedKey),
}

/// A platform CA, without its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaRecord {
    /// SHA-256 of its certificate.
    pub fingerprint: Fingerprint,
    /// Its certificate, PEM.
    pub certificate_pem: String,
    /// Where it is in its life.
    pub state: CaState,
    /// When it expires.
    pub not_after: OffsetDateTime,
    /// When it was made or uploaded.
    pub created_at: OffsetDateTime,
}

impl CaRecord {
    pub(crate) fn added(&self, origin: &CaOrigin) -> Event {
        let (fingerprint, expires_at) = (self.fingerprint, self.not_after);
        match origin {
            CaOrigin::Generated => Event::PlatformCaGenerated {
                fingerprint,
                expires_at,
            },
            CaOrigin::Uploaded(_) => Event::PlatformCaUploaded {
                fingerprint,
                expires_at,
            },
        }
    }

    pub(crate) fn activated(&self) -> Event {
        Event::PlatformCaActivated {
            fingerprint: self.fingerprint,
            expires_at: self.not_after,
        }
    }

    pub(crate) fn retired(&self) -> Event {
        Event::PlatformCaRetired {
            fingerprint: self.fingerprint,
            expires_at: self.not_after,
        }
    }

    /// That it took the place of `old_fingerprint`.
    pub(crate) fn regenerated(&self, old_fingerprint: Fingerprint) -> Event {
        Event::PlatformCaRegenerated {
            fingerprint: self.fingerprint,
            expires_at: self.not_after,
            old_fingerprint,
        }
    }
}
