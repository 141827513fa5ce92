use identity_pki::TenantId;
use time::OffsetDateTime;

use crate::ClientId;

/// An access token that was given to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedToken {
    /// The client's tenant.
    pub tenant_id: TenantId,
    /// The client.
    pub client_id: ClientId,
    /// The token's own id (RFC 7519 §4.1.7).
    pub jti: String,
    /// Until when nothing has to be known of it.
    pub expires_at: OffsetDateTime,
}

/// SHA-256 of what makes a client's assertion the only one of its kind: its `jti`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AssertionSha256(pub [u8; 32]);
