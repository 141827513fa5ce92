use std::collections::BTreeSet;

use identity_pki::TenantId;
use time::OffsetDateTime;

use crate::ClientId;

/// An OAuth client: an integrator's backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthClient {
    /// Its id.
    pub client_id: ClientId,
    /// Its tenant.
    pub tenant_id: TenantId,
    /// Its name, for people.
    pub name: String,
    /// What its tokens may be used for.
    pub scopes: BTreeSet<String>,
    /// Its secrets, hashed; more than one while one is being replaced, none for one with keys.
    pub secrets: Vec<ClientSecret>,
    /// Its public keys, by which it proves itself in place of a secret: a JWK set (RFC 7517 §5).
    pub jwks: Option<String>,
    /// Where it is told that an authentication request was answered (CIBA Core 1.0 §10.2); it polls otherwise.
    pub notification_endpoint: Option<String>,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

/// SHA-256 of a client secret: secrets are drawn with full entropy, so a fast hash is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretHash(pub [u8; 32]);

/// A client's secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSecret {
    /// Its hash.
    pub hash: SecretHash,
    /// Until when it is good, if not for ever.
    pub expires_at: Option<OffsetDateTime>,
}

/// A client to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewClient {
    /// Its id.
    pub client_id: ClientId,
    /// Its tenant.
    pub tenant_id: TenantId,
    /// Its name.
    pub name: String,
    /// What its tokens may be used for.
    pub scopes: BTreeSet<String>,
    /// By what it proves itself.
    pub credential: ClientCredential,
    /// Where it is told that an authentication request was answered.
    pub notification_endpoint: Option<String>,
}

/// By what a client proves itself: by the one or by the other, so that no secret opens what keys guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientCredential {
    /// A secret.
    Secret(SecretHash),
    /// Private keys of its own, of which these are the public ones: a JWK set (RFC 7517 §5).
    Jwks(String),
}
