use async_trait::async_trait;
use identity_pki::TenantId;

use super::MemoryStore;
use super::listing::page;
use crate::{
    Change, Conflict, DevicePolicy, Error, Event, Notice, Page, PageRequest, Result, Tenant,
    TenantConfig, TenantStatus, TenantStore,
};

#[async_trait]
impl TenantStore for MemoryStore {
    async fn create_tenant(
        &self,
        change: Change,
        tenant_id: TenantId,
        name: String,
    ) -> Result<Tenant> {
        self.commit(change, |tx| {
            if tx.state.tenants.contains_key(&tenant_id) {
                return Err(Error::Conflict(Conflict::TenantExists));
            }
            let tenant = Tenant {
                tenant_id: tenant_id.clone(),
                name,
                status: TenantStatus::Active,
                config: TenantConfig::default(),
                created_at: tx.at(),
            };
            tx.state.tenants.insert(tenant_id.clone(), tenant.clone());
            tx.tell_platform(&Event::TenantCreated { tenant_id });
            Ok(tenant)
        })
    }

    async fn tenant(&self, tenant_id: &TenantId) -> Result<Option<Tenant>> {
        Ok(self.state().tenants.get(tenant_id).cloned())
    }

    async fn tenants(&self, request: PageRequest) -> Result<Page<Tenant>> {
        let tenants = self.state().tenants.values().cloned().collect();
        page(tenants, &request, |tenant: &Tenant| {
            (tenant.created_at, tenant.tenant_id.as_str())
        })
    }

    async fn rename_tenant(
        &self,
        change: Change,
        tenant_id: &TenantId,
        name: String,
    ) -> Result<Tenant> {
        self.edit_tenant(change, tenant_id, |tenant, _| {
            tenant.name = name;
            Ok(())
        })
    }

    async fn set_tenant_status(
        &self,
        change: Change,
        tenant_id: &TenantId,
        status: TenantStatus,
    ) -> Result<Tenant> {
        self.commit(change, |tx| {
            let tenant = tx.tenant_mut(tenant_id)?;
            let changes = tenant.status != status;
            tenant.status = status;
            let tenant = tenant.clone();
            if changes {
                let tenant_id = tenant_id.clone();
                tx.notify(Notice::Tenant {
                    tenant_id: tenant_id.clone(),
                });
                tx.tell_platform(&match status {
                    TenantStatus::Active => Event::TenantActivated { tenant_id },
                    TenantStatus::Suspended => Event::TenantSuspended { tenant_id },
                });
            }
            Ok(tenant)
        })
    }

    async fn set_tenant_config(
        &self,
        change: Change,
        tenant_id: &TenantId,
        config: TenantConfig,
    ) -> Result<Tenant> {
        self.edit_tenant(change, tenant_id, |tenant, policy| {
            policy.must_suit(tenant_id, &config)?;
            tenant.config = config;
            Ok(())
        })
    }
}

impl MemoryStore {
    /// Changes a tenant, which `edit` is given with the platform's device policy.
    fn edit_tenant(
        &self,
        change: Change,
        tenant_id: &TenantId,
        edit: impl FnOnce(&mut Tenant, DevicePolicy) -> Result<()>,
    ) -> Result<Tenant> {
        self.commit(change, |tx| {
            let policy = tx.state.device_policy;
            let tenant = tx.tenant_mut(tenant_id)?;
            edit(tenant, policy)?;
            let tenant = tenant.clone();
            tx.tell_platform(&Event::TenantUpdated {
                tenant_id: tenant_id.clone(),
            });
            Ok(tenant)
        })
    }
}
