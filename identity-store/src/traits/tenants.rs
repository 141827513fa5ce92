use async_trait::async_trait;
use identity_pki::TenantId;

use crate::{Change, Page, PageRequest, Result, Tenant, TenantConfig, TenantStatus};

/// Tenants and their settings. Their events go to the platform's audit chain.
#[async_trait]
pub trait TenantStore: Send + Sync {
    /// Makes an active tenant with default settings. Event: `tenant_created`.
    ///
    /// # Errors
    ///
    /// [`Conflict::TenantExists`](crate::Conflict::TenantExists).
    async fn create_tenant(
        &self,
        change: Change,
        tenant_id: TenantId,
        name: String,
    ) -> Result<Tenant>;

    /// Reads a tenant.
    async fn tenant(&self, tenant_id: &TenantId) -> Result<Option<Tenant>>;

    /// Lists tenants, newest first.
    async fn tenants(&self, page: PageRequest) -> Result<Page<Tenant>>;

    /// Renames a tenant. Event: `tenant_updated`.
    ///
    /// # Errors
    ///
    /// [`Entity::Tenant`](crate::Entity::Tenant) is not found.
    async fn rename_tenant(
        &self,
        change: Change,
        tenant_id: &TenantId,
        name: String,
    ) -> Result<Tenant>;

    /// Suspends or activates a tenant; one that is so already stays so, without an event.
    /// Events: `tenant_suspended`, `tenant_activated`. Observers are told
    /// [`Notice::Tenant`](crate::Notice::Tenant) when something changed.
    ///
    /// # Errors
    ///
    /// [`Entity::Tenant`](crate::Entity::Tenant) is not found.
    async fn set_tenant_status(
        &self,
        change: Change,
        tenant_id: &TenantId,
        status: TenantStatus,
    ) -> Result<Tenant>;

    /// Replaces a tenant's settings. Event: `tenant_updated`.
    ///
    /// # Errors
    ///
    /// [`Entity::Tenant`](crate::Entity::Tenant) is not found.
    /// [`Error::RenewalWindow`](crate::Error::RenewalWindow) when the settings and the platform's device
    /// policy come to one that is not sound.
    async fn set_tenant_config(
        &self,
        change: Change,
        tenant_id: &TenantId,
        config: TenantConfig,
    ) -> Result<Tenant>;
}
