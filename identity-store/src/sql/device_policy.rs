use async_trait::async_trait;
use identity_pki::TenantId;

use super::SqlStore;
use super::column::Columns;
use super::connection::Connection;
use super::fault::Step;
use super::query::query;
use super::row::Row;
use super::tx::{ChangeTx, Isolation};
use crate::{Chain, Change, DevicePolicy, DevicePolicyStore, Event, Result, TenantConfig};

const PLATFORMS: &str = "
    SELECT validity_days, renewal_window_days, clock_skew_seconds FROM device_policy WHERE one = 1";
const OF_TENANT: &str = "
    SELECT t.config, p.validity_days, p.renewal_window_days, p.clock_skew_seconds
    FROM tenants t JOIN device_policy p ON p.one = 1 WHERE t.tenant_id = $1";
const SET: &str = "
    UPDATE device_policy
    SET validity_days = $1, renewal_window_days = $2, clock_skew_seconds = $3 WHERE one = 1";
const CONFIGS: &str = "SELECT tenant_id, config FROM tenants ORDER BY tenant_id";

fn read(row: &Row) -> Result<DevicePolicy> {
    let columns = Columns::of(row, "device_policy");
    Ok(DevicePolicy {
        validity_days: columns.number("validity_days")?,
        renewal_window_days: columns.number("renewal_window_days")?,
        clock_skew_seconds: columns.number("clock_skew_seconds")?,
    })
}

/// Reads a row with the columns of the platform's policy and a tenant's `config`.
pub(super) fn read_of_tenant(row: &Row) -> Result<DevicePolicy> {
    let config: TenantConfig = Columns::of(row, "tenants").json("config")?;
    Ok(read(row)?.of_tenant(&config))
}

/// The platform's policy.
pub(super) async fn find(conn: &mut Connection) -> Step<DevicePolicy> {
    Ok(read(&query(PLATFORMS).fetch_one(conn).await?)?)
}

/// Refuses a policy that is not every tenant's to have.
async fn must_suit_all(conn: &mut Connection, policy: DevicePolicy) -> Step<()> {
    for row in query(CONFIGS).fetch_all(conn).await? {
        let columns = Columns::of(&row, "tenants");
        let tenant_id: TenantId = columns.parse("tenant_id")?;
        policy.must_suit(&tenant_id, &columns.json("config")?)?;
    }
    Ok(())
}

async fn set(tx: &mut ChangeTx<'_>, policy: DevicePolicy) -> Step<DevicePolicy> {
    policy.must_be_sound()?;
    must_suit_all(tx.conn(), policy).await?;
    if find(tx.conn()).await? != policy {
        query(SET)
            .bind(i64::from(policy.validity_days))
            .bind(i64::from(policy.renewal_window_days))
            .bind(i64::from(policy.clock_skew_seconds))
            .execute(tx.conn())
            .await?;
        let event = Event::DevicePolicyChanged { policy };
        tx.post(&Chain::Platform, &event).await?;
    }
    Ok(policy)
}

#[async_trait]
impl DevicePolicyStore for SqlStore {
    async fn device_policy(&self) -> Result<DevicePolicy> {
        self.read("device_policy", async |conn| find(conn).await)
            .await
    }

    async fn set_device_policy(
        &self,
        change: Change,
        policy: DevicePolicy,
    ) -> Result<DevicePolicy> {
        self.run_change(
            "set_device_policy",
            Isolation::Serializable,
            change,
            move |tx| Box::pin(async move { set(tx, policy).await }),
        )
        .await
    }

    async fn tenant_device_policy(&self, tenant_id: &TenantId) -> Result<Option<DevicePolicy>> {
        self.read("tenant_device_policy", async |conn| {
            let row = query(OF_TENANT).bind(tenant_id.as_str());
            let row = row.fetch_optional(conn).await?;
            Ok(row.as_ref().map(read_of_tenant).transpose()?)
        })
        .await
    }
}
