use async_trait::async_trait;
use identity_pki::TenantId;

use crate::{Change, DevicePolicy, Result};

/// How device certificates are made: the platform's policy, and what tenants' settings make of it. Its
/// events go to the platform's audit chain.
///
/// No tenant ever has a policy that is not sound ([`DevicePolicy::is_sound`]): neither a change of the
/// platform's policy nor one of a tenant's settings leads to one, nor both at once.
#[async_trait]
pub trait DevicePolicyStore: Send + Sync {
    /// The platform's policy: the default one until another is set.
    async fn device_policy(&self) -> Result<DevicePolicy>;

    /// Replaces the platform's policy; the same one again changes nothing and tells nothing. Certificates
    /// that were issued stay as they are. Event: `device_policy_changed`.
    ///
    /// # Errors
    ///
    /// [`Error::RenewalWindow`](crate::Error::RenewalWindow) when it, or what a tenant's settings make
    /// of it, is not sound: it names the first such tenant.
    async fn set_device_policy(&self, change: Change, policy: DevicePolicy)
    -> Result<DevicePolicy>;

    /// The policy of a tenant; `None` when there is no such tenant.
    async fn tenant_device_policy(&self, tenant_id: &TenantId) -> Result<Option<DevicePolicy>>;
}
