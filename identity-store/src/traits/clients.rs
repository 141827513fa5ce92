use async_trait::async_trait;
use identity_pki::TenantId;
use time::OffsetDateTime;

use crate::{Change, ClientId, NewClient, OAuthClient, Page, PageRequest, Result, SecretHash};

/// OAuth clients.
#[async_trait]
pub trait ClientStore: Send + Sync {
    /// Makes a client with its one credential. Event: `oauth_client_created`.
    ///
    /// # Errors
    ///
    /// [`Entity::Tenant`](crate::Entity::Tenant) is not found.
    async fn create_client(&self, change: Change, client: NewClient) -> Result<OAuthClient>;

    /// Reads a client. A global look-up: a token request names no tenant.
    async fn client(&self, client_id: &ClientId) -> Result<Option<OAuthClient>>;

    /// Lists a tenant's clients, newest first.
    async fn clients(&self, tenant_id: &TenantId, page: PageRequest) -> Result<Page<OAuthClient>>;

    /// Adds a secret; the ones before are good until `others_until`, or their own earlier end.
    /// Secrets that ended are dropped. Event: `oauth_client_secret_added`.
    ///
    /// # Errors
    ///
    /// [`Entity::Client`](crate::Entity::Client) is not found;
    /// [`Conflict::ClientHasKeys`](crate::Conflict::ClientHasKeys).
    async fn add_client_secret(
        &self,
        change: Change,
        tenant_id: &TenantId,
        client_id: &ClientId,
        secret: SecretHash,
        others_until: OffsetDateTime,
    ) -> Result<OAuthClient>;

    /// Puts `jwks` in the place of a client's public keys, or of its secrets: what it had is over at
    /// once. Event: `oauth_client_keys_replaced`.
    ///
    /// # Errors
    ///
    /// [`Entity::Client`](crate::Entity::Client) is not found.
    async fn replace_client_keys(
        &self,
        change: Change,
        tenant_id: &TenantId,
        client_id: &ClientId,
        jwks: String,
    ) -> Result<OAuthClient>;

    /// Deletes a client. Event: `oauth_client_deleted`.
    ///
    /// # Errors
    ///
    /// [`Entity::Client`](crate::Entity::Client) is not found.
    async fn delete_client(
        &self,
        change: Change,
        tenant_id: &TenantId,
        client_id: &ClientId,
    ) -> Result<()>;
}
