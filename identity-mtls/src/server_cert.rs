use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use identity_pki::{Fingerprint, ServerCertificate, SpkiSha256};
use rustls::InconsistentKeys;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::OffsetDateTime;

use crate::Error;

/// The server's own certificate with the private key that belongs to it.
#[derive(Clone)]
pub struct ServerCert {
    fingerprint: Fingerprint,
    not_after: OffsetDateTime,
    spki_sha256: SpkiSha256,
    key: Arc<CertifiedKey>,
}

impl ServerCert {
    /// Joins `certificate` and its private key, one unencrypted PEM block of PKCS#8, PKCS#1 or
    /// SEC 1.
    ///
    /// # Errors
    ///
    /// - [`Error::Expired`] or [`Error::NotYetValid`]: the certificate is not valid at `now`.
    /// - [`Error::KeyPem`], [`Error::KeyEncrypted`], [`Error::KeyUnsupported`]: the key cannot be read or used.
    /// - [`Error::CertKeyMismatch`]: it is another certificate's key.
    pub fn new(
        provider: &CryptoProvider,
        certificate: &ServerCertificate,
        key_pem: &str,
        now: OffsetDateTime,
    ) -> Result<Self, Error> {
        let (not_before, not_after) = (certificate.not_before(), certificate.not_after());
        if now < not_before {
            return Err(Error::NotYetValid { not_before, now });
        }
        if now > not_after {
            return Err(Error::Expired { not_after, now });
        }
        let key = provider
            .key_provider
            .load_private_key(private_key(key_pem)?)
            .map_err(Error::KeyUnsupported)?;
        let chain = certificate.chain_der().iter();
        let key = CertifiedKey::new(
            chain
                .map(|der| CertificateDer::from(der.to_vec()))
                .collect(),
            key,
        );
        let fingerprint = certificate.fingerprint();
        key.keys_match().map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                Error::CertKeyMismatch { fingerprint }
            }
            other => Error::KeyUnsupported(other),
        })?;
        let public_key = key
            .key
            .public_key()
            .ok_or_else(|| Error::KeyUnsupported(rustls::Error::from(InconsistentKeys::Unknown)))?;
        Ok(Self {
            fingerprint,
            not_after,
            spki_sha256: SpkiSha256::of_spki(&public_key),
            key: Arc::new(key),
        })
    }

    /// The certificate's fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The name of the certificate's key: one that no device may have.
    #[must_use]
    pub fn spki_sha256(&self) -> SpkiSha256 {
        self.spki_sha256
    }

    /// The last moment of the certificate's validity.
    #[must_use]
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }
}

impl fmt::Debug for ServerCert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCert")
            .field("fingerprint", &self.fingerprint)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// What encrypted keys have: in PKCS#8 (RFC 5958 §3), and as OpenSSL wrote them before (RFC 1421 §4.6.1.1).
const ENCRYPTED: [&str; 2] = [
    "-----BEGIN ENCRYPTED PRIVATE KEY-----",
    "Proc-Type: 4,ENCRYPTED",
];

/// The one private key in `pem`.
fn private_key(pem: &str) -> Result<PrivateKeyDer<'static>, Error> {
    let mut keys = PrivateKeyDer::pem_slice_iter(pem.as_bytes());
    match (keys.next(), keys.next()) {
        (Some(Ok(key)), None) => Ok(key),
        _ if ENCRYPTED.iter().any(|mark| pem.contains(mark)) => Err(Error::KeyEncrypted),
        _ => Err(Error::KeyPem),
    }
}

/// The server certificate in use, which can be replaced at any time: handshakes that have begun end
/// with the old one, later ones use the new one, and connections stay.
///
/// Give it to [`server_config`](crate::server_config()), whatever the server name a client asks for.
#[derive(Debug)]
pub struct ServerCertStore {
    current: ArcSwap<ServerCert>,
}

impl ServerCertStore {
    /// A store that hands out `certificate`.
    #[must_use]
    pub fn new(certificate: ServerCert) -> Self {
        Self {
            current: ArcSwap::from_pointee(certificate),
        }
    }

    /// Hands out `certificate` from now on.
    pub fn replace(&self, certificate: ServerCert) {
        self.current.store(Arc::new(certificate));
    }

    /// The certificate in use.
    #[must_use]
    pub fn current(&self) -> Arc<ServerCert> {
        self.current.load_full()
    }
}

impl ResolvesServerCert for ServerCertStore {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().key))
    }
}
