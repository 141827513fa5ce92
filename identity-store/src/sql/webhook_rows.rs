//! The rows of endpoints: how they are read and written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::Shared;
use super::column::{Columns, json, ms};
use super::connection::Connection;
use super::encrypted::{self, RowKey, Sealer};
use super::fault::Step;
use super::post::chain_column;
use super::query::{Query, Sql, query};
use super::row::Row;
use super::tx::{ChangeTx, Tx};
use crate::{
    Chain, Conflict, Entity, Error, Result, SecretBytes, Webhook, WebhookId, WebhookSecret,
};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT nullif(tenant_id, '') AS tenant_id, endpoint_id, url, events, description, secrets,
                    disabled_reason, failing_since, created_at
             FROM webhook_endpoints ",
            $rest
        )
    };
}

const ONE: &str = select!("WHERE tenant_id = $1 AND endpoint_id = $2");
const LOCKED: Sql = Sql {
    sqlite: ONE,
    postgres: select!("WHERE tenant_id = $1 AND endpoint_id = $2 FOR UPDATE"),
};
pub(super) const LIST: &str = select!(
    "WHERE tenant_id = $1 AND (created_at, endpoint_id) < ($2, $3)
     ORDER BY created_at DESC, endpoint_id DESC LIMIT $4"
);
const ENABLED: Sql = Sql {
    sqlite: select!(
        "WHERE tenant_id IN (SELECT value FROM json_each($1)) AND disabled_reason IS NULL
         ORDER BY tenant_id, endpoint_id"
    ),
    postgres: select!(
        "WHERE tenant_id IN (SELECT json_array_elements_text($1::json)) AND disabled_reason IS NULL
         ORDER BY tenant_id, endpoint_id"
    ),
};

/// A secret as it is stored, encrypted with the others of its endpoint.
#[derive(Serialize, Deserialize)]
struct StoredSecret {
    secret: String,
    expires_at: Option<i64>,
}

impl Drop for StoredSecret {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

pub(super) fn key(owner: &Chain, webhook_id: &WebhookId) -> RowKey {
    RowKey::Texts(chain_column(owner).to_owned(), webhook_id.to_string())
}

/// Secrets for storage.
pub(super) fn seal(sealer: Sealer<'_>, key: &RowKey, secrets: &[WebhookSecret]) -> Result<Vec<u8>> {
    let stored = secrets.iter().map(|secret| StoredSecret {
        secret: STANDARD.encode(secret.secret.expose()),
        expires_at: secret.expires_at.map(ms),
    });
    let text = Zeroizing::new(json(&stored.collect::<Vec<_>>())?);
    encrypted::WEBHOOK_SECRETS.encrypt(sealer, key, text.as_bytes())
}

fn open(columns: Columns<'_>, text: &[u8]) -> Result<Vec<WebhookSecret>> {
    let corrupt = || columns.corrupt("secrets");
    let stored: Vec<StoredSecret> = serde_json::from_slice(text).map_err(|_| corrupt())?;
    let secret = |stored: StoredSecret| {
        let end = stored.expires_at;
        Ok(WebhookSecret {
            secret: SecretBytes::new(STANDARD.decode(&stored.secret).map_err(|_| corrupt())?),
            expires_at: end.map(|end| columns.moment("secrets", end)).transpose()?,
        })
    };
    stored.into_iter().map(secret).collect()
}

pub(super) fn read(row: &Row, shared: &Shared) -> Result<Webhook> {
    let columns = Columns::of(row, "webhook_endpoints");
    let tenant_id = columns.parse_option("tenant_id")?;
    let owner = tenant_id.map_or(Chain::Platform, Chain::Tenant);
    let webhook_id: WebhookId = columns.parse("endpoint_id")?;
    let sealed: &[u8] = columns.get("secrets")?;
    let opened = shared.secret(
        &encrypted::WEBHOOK_SECRETS,
        &key(&owner, &webhook_id),
        sealed,
    );
    let secrets = match opened {
        Some(text) => open(columns, text.expose())?,
        None => Vec::new(),
    };
    let disabled: Option<&str> = columns.get("disabled_reason")?;
    Ok(Webhook {
        webhook_id,
        owner,
        url: columns.get("url")?,
        events: columns.json("events")?,
        description: columns.get("description")?,
        secrets,
        disabled: match disabled {
            Some(_) => Some(columns.word("disabled_reason")?),
            None => None,
        },
        failing_since: columns.time_option("failing_since")?,
        created_at: columns.time("created_at")?,
    })
}

pub(super) async fn find(
    conn: &mut Connection,
    shared: &Shared,
    owner: &Chain,
    webhook_id: &WebhookId,
) -> Step<Option<Webhook>> {
    let row = one(ONE, owner, webhook_id).fetch_optional(conn).await?;
    Ok(row.map(|row| read(&row, shared)).transpose()?)
}

/// The owner's endpoint, held until the end of the transaction.
pub(super) async fn hold(
    tx: &mut ChangeTx<'_>,
    owner: &Chain,
    webhook_id: &WebhookId,
) -> Step<Webhook> {
    let Tx {
        connection, shared, ..
    } = &mut *tx.tx;
    let row = one(LOCKED, owner, webhook_id);
    let row = row.fetch_optional(connection).await?;
    Ok(read(&row.ok_or(Entity::Webhook)?, shared)?)
}

/// As [`hold`], of one that is enabled.
pub(super) async fn hold_enabled(
    tx: &mut ChangeTx<'_>,
    owner: &Chain,
    webhook_id: &WebhookId,
) -> Step<Webhook> {
    let webhook = hold(tx, owner, webhook_id).await?;
    match webhook.disabled {
        None => Ok(webhook),
        Some(_) => Err(Conflict::WebhookDisabled.into()),
    }
}

/// The endpoints of these owners that are enabled.
pub(super) async fn enabled(tx: &mut Tx, owners: &[&str]) -> Step<Vec<Webhook>> {
    let Tx {
        connection, shared, ..
    } = tx;
    let rows = query(ENABLED).bind(json(&owners)?).fetch_all(connection);
    let rows = rows.await?;
    let webhooks = rows.iter().map(|row| read(row, shared));
    Ok(webhooks.collect::<Result<_, Error>>()?)
}

fn one<'q>(statement: impl Into<Sql>, owner: &'q Chain, webhook_id: &'q WebhookId) -> Query<'q> {
    let statement = query(statement).bind(chain_column(owner));
    statement.bind(webhook_id.as_str())
}
