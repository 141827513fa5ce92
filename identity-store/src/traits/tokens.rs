use async_trait::async_trait;
use identity_pki::TenantId;
use time::OffsetDateTime;

use crate::{AssertionSha256, Change, ClientId, IssuedToken, Result};

/// What is known of access tokens and client assertions, which are signed and stored nowhere: those
/// that count no longer although their time is not over.
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// Whether a token counts while its time is not over: its client is there, in the token's tenant,
    /// and it was not revoked.
    async fn token_stands(&self, token: &IssuedToken) -> Result<bool>;

    /// Revokes a token: it does not [stand](Self::token_stands) any more. One that was revoked before
    /// stays so, and nothing is told. Event: `token_revoked`.
    async fn revoke_token(&self, change: Change, token: &IssuedToken) -> Result<()>;

    /// Uses a client's assertion, which is over at `expires_at`; returns whether this is its first use.
    /// Of any number of calls at once, one is the first. No event, no audit row.
    async fn use_assertion(
        &self,
        tenant_id: &TenantId,
        client_id: &ClientId,
        assertion: AssertionSha256,
        expires_at: OffsetDateTime,
    ) -> Result<bool>;

    /// Forgets the revoked tokens and the used assertions that are over at `now`; returns how many.
    async fn purge_tokens(&self, now: OffsetDateTime) -> Result<u64>;
}
