use super::connection::Connection;
use super::row::Row;
use async_trait::async_trait;
use identity_pki::TenantId;

use super::column::{Columns, json, ms, place, word};
use super::fault::{Step, taken};
use super::query::query;
use super::tx::{ChangeTx, Isolation};
use super::{SqlStore, device_policy};
use crate::{
    Chain, Change, Conflict, Entity, Event, Notice, Page, PageRequest, Result, Tenant,
    TenantConfig, TenantStatus, TenantStore,
};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT tenant_id, name, status, config, created_at FROM tenants ",
            $rest
        )
    };
}

const ONE: &str = select!("WHERE tenant_id = $1");
const LIST: &str = select!(
    "WHERE (created_at, tenant_id) < ($1, $2)
     ORDER BY created_at DESC, tenant_id DESC LIMIT $3"
);
const INSERT: &str = "
    INSERT INTO tenants (tenant_id, name, status, config, created_at)
    VALUES ($1, $2, $3, $4, $5)";
const UPDATE: &str = "
    UPDATE tenants SET name = $2, status = $3, config = $4 WHERE tenant_id = $1";

fn read(row: &Row) -> Result<Tenant> {
    let columns = Columns::of(row, "tenants");
    Ok(Tenant {
        tenant_id: columns.parse("tenant_id")?,
        name: columns.get("name")?,
        status: columns.word("status")?,
        config: columns.json("config")?,
        created_at: columns.time("created_at")?,
    })
}

/// The tenant as it is inside the transaction, or as it was committed last.
pub(super) async fn find(conn: &mut Connection, tenant_id: &TenantId) -> Step<Option<Tenant>> {
    let row = query(ONE)
        .bind(tenant_id.as_str())
        .fetch_optional(conn)
        .await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// The tenant, or the refusal that it is not there.
pub(super) async fn must_find(conn: &mut Connection, tenant_id: &TenantId) -> Step<Tenant> {
    Ok(find(conn, tenant_id).await?.ok_or(Entity::Tenant)?)
}

async fn insert(tx: &mut ChangeTx<'_>, tenant: &Tenant) -> Step<()> {
    query(INSERT)
        .bind(tenant.tenant_id.as_str())
        .bind(&tenant.name)
        .bind(word(&tenant.status)?)
        .bind(json(&tenant.config)?)
        .bind(ms(tenant.created_at))
        .execute(tx.conn())
        .await
        .map_err(taken(Conflict::TenantExists))?;
    Ok(())
}

async fn update(tx: &mut ChangeTx<'_>, tenant: &Tenant) -> Step<()> {
    query(UPDATE)
        .bind(tenant.tenant_id.as_str())
        .bind(&tenant.name)
        .bind(word(&tenant.status)?)
        .bind(json(&tenant.config)?)
        .execute(tx.conn())
        .await?;
    Ok(())
}

async fn set_config(
    tx: &mut ChangeTx<'_>,
    tenant_id: TenantId,
    config: TenantConfig,
) -> Step<Tenant> {
    let mut tenant = must_find(tx.conn(), &tenant_id).await?;
    let policy = device_policy::find(tx.conn()).await?;
    policy.must_suit(&tenant_id, &config)?;
    tenant.config = config;
    update(tx, &tenant).await?;
    let event = Event::TenantUpdated { tenant_id };
    tx.post(&Chain::Platform, &event).await?;
    Ok(tenant)
}

impl SqlStore {
    /// Changes a tenant; `edit` gives what happened, and nothing is written when nothing did.
    async fn edit_tenant(
        &self,
        name: &'static str,
        change: Change,
        tenant_id: &TenantId,
        edit: impl FnOnce(&mut Tenant) -> Option<Event> + Clone + Send + 'static,
    ) -> Result<Tenant> {
        let tenant_id = tenant_id.clone();
        self.run_change(name, Isolation::Serializable, change, move |tx| {
            Box::pin(async move {
                let mut tenant = must_find(tx.conn(), &tenant_id).await?;
                let before = tenant.status;
                if let Some(event) = edit(&mut tenant) {
                    update(tx, &tenant).await?;
                    if tenant.status != before {
                        tx.notify(Notice::Tenant { tenant_id });
                    }
                    tx.post(&Chain::Platform, &event).await?;
                }
                Ok(tenant)
            })
        })
        .await
    }
}

#[async_trait]
impl TenantStore for SqlStore {
    async fn create_tenant(
        &self,
        change: Change,
        tenant_id: TenantId,
        name: String,
    ) -> Result<Tenant> {
        self.run_change(
            "create_tenant",
            Isolation::Serializable,
            change,
            move |tx| {
                Box::pin(async move {
                    let tenant = Tenant {
                        tenant_id,
                        name,
                        status: TenantStatus::Active,
                        config: TenantConfig::default(),
                        created_at: tx.at(),
                    };
                    insert(tx, &tenant).await?;
                    let tenant_id = tenant.tenant_id.clone();
                    let event = Event::TenantCreated { tenant_id };
                    tx.post(&Chain::Platform, &event).await?;
                    Ok(tenant)
                })
            },
        )
        .await
    }

    async fn tenant(&self, tenant_id: &TenantId) -> Result<Option<Tenant>> {
        self.read("tenant", async |conn| find(conn, tenant_id).await)
            .await
    }

    async fn tenants(&self, page: PageRequest) -> Result<Page<Tenant>> {
        self.page("tenants", query(LIST), &page, read, |tenant| {
            place(tenant.created_at, tenant.tenant_id.as_str())
        })
        .await
    }

    async fn rename_tenant(
        &self,
        change: Change,
        tenant_id: &TenantId,
        name: String,
    ) -> Result<Tenant> {
        self.edit_tenant("rename_tenant", change, tenant_id, |tenant| {
            tenant.name = name;
            let tenant_id = tenant.tenant_id.clone();
            Some(Event::TenantUpdated { tenant_id })
        })
        .await
    }

    async fn set_tenant_status(
        &self,
        change: Change,
        tenant_id: &TenantId,
        status: TenantStatus,
    ) -> Result<Tenant> {
        self.edit_tenant("set_tenant_status", change, tenant_id, move |tenant| {
            if tenant.status == status {
                return None;
            }
            tenant.status = status;
            let tenant_id = tenant.tenant_id.clone();
            Some(match status {
                TenantStatus::Suspended => Event::TenantSuspended { tenant_id },
                TenantStatus::Active => Event::TenantActivated { tenant_id },
            })
        })
        .await
    }

    async fn set_tenant_config(
        &self,
        change: Change,
        tenant_id: &TenantId,
        config: TenantConfig,
    ) -> Result<Tenant> {
        let tenant_id = tenant_id.clone();
        self.run_change(
            "set_tenant_config",
            Isolation::Serializable,
            change,
            move |tx| Box::pin(async move { set_config(tx, tenant_id, config).await }),
        )
        .await
    }
}
