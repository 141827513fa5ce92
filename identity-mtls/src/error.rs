use identity_pki::Fingerprint;
use time::OffsetDateTime;

/// What can be wrong with the server's own side: its CAs, its certificate, its TLS configuration.
///
/// What is wrong with a client is a [`Refusal`](crate::Refusal).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A CA certificate that cannot be used as a trust anchor.
    #[error("CA certificate {fingerprint} is unusable as a trust anchor: {reason}")]
    TrustAnchor {
        /// The certificate.
        fingerprint: Fingerprint,
        /// What the verification library found.
        reason: String,
    },
    /// Text that is not one unencrypted PEM private key.
    #[error("the private key is not one unencrypted PEM block of PKCS#8, PKCS#1 or SEC 1")]
    KeyPem,
    /// A private key under a passphrase, which nobody could type when the server starts.
    #[error(
        "the private key is encrypted: decrypt it first, with `openssl pkey -in FILE` for example"
    )]
    KeyEncrypted,
    /// A private key that the crypto provider cannot load or tell the public half of.
    #[error("the crypto provider cannot use the private key")]
    KeyUnsupported(#[source] rustls::Error),
    /// A private key that does not belong to the certificate.
    #[error("the private key does not belong to certificate {fingerprint}")]
    CertKeyMismatch {
        /// The certificate.
        fingerprint: Fingerprint,
    },
    /// A server certificate whose notAfter has passed.
    #[error("the server certificate expired at {not_after}; now is {now}")]
    Expired {
        /// The certificate's notAfter.
        not_after: OffsetDateTime,
        /// The time of the check.
        now: OffsetDateTime,
    },
    /// A server certificate whose notBefore is to come.
    #[error("the server certificate is valid from {not_before}; now is {now}")]
    NotYetValid {
        /// The certificate's notBefore.
        not_before: OffsetDateTime,
        /// The time of the check.
        now: OffsetDateTime,
    },
    /// The crypto provider cannot serve TLS 1.2 and 1.3.
    #[error("the crypto provider cannot serve TLS 1.2 and 1.3")]
    Protocol(#[source] rustls::Error),
}
