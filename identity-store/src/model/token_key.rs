use time::OffsetDateTime;

use super::SecretBytes;

/// The keys of tokens: the one that signs, the one that is to sign next, and what is left of those before.
#[derive(Debug, Clone, Default)]
pub struct TokenKeys {
    /// The private key that signs; `None` until one was needed.
    pub active: Option<SecretBytes>,
    /// Since when it signs, if that is known.
    pub active_since: Option<OffsetDateTime>,
    /// The key that signs next, if one is published.
    pub next: Option<NextTokenKey>,
    /// The keys that signed before, the oldest first.
    pub retired: Vec<RetiredTokenKey>,
}

/// A key that is published, and is to sign from some moment on.
#[derive(Debug, Clone)]
pub struct NextTokenKey {
    /// Its name in headers and key sets.
    pub key_id: String,
    /// The private key.
    pub secret: SecretBytes,
    /// Since when it is published.
    pub published_at: OffsetDateTime,
    /// When it is to sign at the earliest.
    pub active_from: OffsetDateTime,
}

/// What is left of a key that signs nothing any more: nobody has its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetiredTokenKey {
    /// Its name in headers and key sets.
    pub key_id: String,
    /// Its public key, a JWK (RFC 7517 §4).
    pub public_jwk: String,
    /// Since when it signs nothing.
    pub retired_at: OffsetDateTime,
}
