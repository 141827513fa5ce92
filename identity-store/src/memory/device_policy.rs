use async_trait::async_trait;
use identity_pki::TenantId;

use super::MemoryStore;
use crate::{Change, DevicePolicy, DevicePolicyStore, Event, Result};

#[async_trait]
impl DevicePolicyStore for MemoryStore {
    async fn device_policy(&self) -> Result<DevicePolicy> {
        Ok(self.state().device_policy)
    }

    async fn set_device_policy(
        &self,
        change: Change,
        policy: DevicePolicy,
    ) -> Result<DevicePolicy> {
        self.commit(change, |tx| {
            policy.must_be_sound()?;
            for (tenant_id, tenant) in &tx.state.tenants {
                policy.must_suit(tenant_id, &tenant.config)?;
            }
            if tx.state.device_policy != policy {
                tx.state.device_policy = policy;
                tx.tell_platform(&Event::DevicePolicyChanged { policy });
            }
            Ok(policy)
        })
    }

    async fn tenant_device_policy(&self, tenant_id: &TenantId) -> Result<Option<DevicePolicy>> {
        let state = self.state();
        let tenant = state.tenants.get(tenant_id);
        Ok(tenant.map(|tenant| state.device_policy.of_tenant(&tenant.config)))
    }
}
