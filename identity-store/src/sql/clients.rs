use super::connection::Connection;
use super::row::Row;
use async_trait::async_trait;
use identity_pki::TenantId;
use serde::Deserialize;
use time::OffsetDateTime;

use super::column::{Columns, json, ms, place};
use super::fault::{Step, taken};
use super::query::{Sql, query};
use super::tx::{ChangeTx, Isolation};
use super::{SqlStore, tenants};
use crate::posting::to_millisecond;
use crate::{
    Chain, Change, ClientCredential, ClientId, ClientSecret, ClientStore, Conflict, Entity, Event,
    NewClient, OAuthClient, Page, PageRequest, Result, SecretHash,
};

macro_rules! words {
    ($secrets:literal, $rest:literal) => {
        concat!(
            "SELECT tenant_id, client_id, name, scopes, jwks, notification_endpoint, created_at, (",
            $secrets,
            " FROM oauth_client_secrets s
              WHERE s.tenant_id = c.tenant_id AND s.client_id = c.client_id) AS secrets
             FROM oauth_clients c ",
            $rest
        )
    };
}

/// A client with its secrets as a JSON array.
macro_rules! select {
    ($rest:literal) => {
        Sql {
            sqlite: words!(
                "SELECT json_group_array(json_object('hash', hex(secret_hash),
                            'expires_at', expires_at) ORDER BY position)",
                $rest
            ),
            postgres: words!(
                "SELECT coalesce(json_agg(json_build_object('hash', encode(secret_hash, 'hex'),
                            'expires_at', expires_at) ORDER BY position), '[]')::text",
                $rest
            ),
        }
    };
}

const ONE: Sql = select!("WHERE c.client_id = $1");
const LIST: Sql = select!(
    "WHERE c.tenant_id = $1 AND (c.created_at, c.client_id) < ($2, $3)
     ORDER BY c.created_at DESC, c.client_id DESC LIMIT $4"
);
const INSERT: &str = "
    INSERT INTO oauth_clients (tenant_id, client_id, name, scopes, created_at, jwks,
        notification_endpoint)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
const ADD_SECRET: &str = "
    INSERT INTO oauth_client_secrets (tenant_id, client_id, position, secret_hash)
    SELECT $1, $2, coalesce(max(position), 0) + 1, $3
    FROM oauth_client_secrets WHERE tenant_id = $1 AND client_id = $2";
const LIMIT_SECRETS: &str = "
    UPDATE oauth_client_secrets SET expires_at = $3
    WHERE tenant_id = $1 AND client_id = $2 AND (expires_at IS NULL OR expires_at > $3)";
const DROP_SECRETS: &str = "
    DELETE FROM oauth_client_secrets WHERE tenant_id = $1 AND client_id = $2 AND expires_at <= $3";
const DROP_ALL_SECRETS: &str =
    "DELETE FROM oauth_client_secrets WHERE tenant_id = $1 AND client_id = $2";
const SET_JWKS: &str = "
    UPDATE oauth_clients SET jwks = $3 WHERE tenant_id = $1 AND client_id = $2";
const DELETE: &str = "DELETE FROM oauth_clients WHERE tenant_id = $1 AND client_id = $2";

/// A secret as the query of its client gives it.
#[derive(Deserialize)]
struct SecretRow {
    hash: String,
    expires_at: Option<i64>,
}

fn read_secrets(columns: Columns<'_>) -> Result<Vec<ClientSecret>> {
    let rows: Vec<SecretRow> = columns.json("secrets")?;
    let secret = |row: SecretRow| {
        let mut hash = [0; 32];
        hex::decode_to_slice(&row.hash, &mut hash).map_err(|_| columns.corrupt("secrets"))?;
        Ok(ClientSecret {
            hash: SecretHash(hash),
            expires_at: row
                .expires_at
                .map(|millis| columns.moment("secrets", millis))
                .transpose()?,
        })
    };
    rows.into_iter().map(secret).collect()
}

fn read(row: &Row) -> Result<OAuthClient> {
    let columns = Columns::of(row, "oauth_clients");
    Ok(OAuthClient {
        client_id: columns.parse("client_id")?,
        tenant_id: columns.parse("tenant_id")?,
        name: columns.get("name")?,
        scopes: columns.json("scopes")?,
        secrets: read_secrets(columns)?,
        jwks: columns.get("jwks")?,
        notification_endpoint: columns.get("notification_endpoint")?,
        created_at: columns.time("created_at")?,
    })
}

async fn find(conn: &mut Connection, client_id: &ClientId) -> Step<Option<OAuthClient>> {
    let row = query(ONE)
        .bind(client_id.as_str())
        .fetch_optional(conn)
        .await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// The tenant's client, or the refusal that it is not there.
async fn must_find(
    conn: &mut Connection,
    tenant_id: &TenantId,
    client_id: &ClientId,
) -> Step<OAuthClient> {
    let client = find(conn, client_id).await?;
    let own = client.filter(|client| client.tenant_id == *tenant_id);
    Ok(own.ok_or(Entity::Client)?)
}

async fn add_secret(
    tx: &mut ChangeTx<'_>,
    tenant_id: &TenantId,
    client_id: &ClientId,
    secret: SecretHash,
) -> Step<()> {
    query(ADD_SECRET)
        .bind(tenant_id.as_str())
        .bind(client_id.as_str())
        .bind(&secret.0[..])
        .execute(tx.conn())
        .await?;
    Ok(())
}

async fn create(tx: &mut ChangeTx<'_>, new: &NewClient) -> Step<OAuthClient> {
    let at = tx.at();
    tenants::must_find(tx.conn(), &new.tenant_id).await?;
    let (secret, jwks) = match &new.credential {
        ClientCredential::Secret(hash) => (Some(*hash), None),
        ClientCredential::Jwks(jwks) => (None, Some(jwks.as_str())),
    };
    query(INSERT)
        .bind(new.tenant_id.as_str())
        .bind(new.client_id.as_str())
        .bind(&new.name)
        .bind(json(&new.scopes)?)
        .bind(ms(at))
        .bind(jwks)
        .bind(&new.notification_endpoint)
        .execute(tx.conn())
        .await
        .map_err(taken(Conflict::IdTaken))?;
    if let Some(secret) = secret {
        add_secret(tx, &new.tenant_id, &new.client_id, secret).await?;
    }
    let event = Event::OauthClientCreated {
        client_id: new.client_id.clone(),
    };
    tx.post(&Chain::Tenant(new.tenant_id.clone()), &event)
        .await?;
    must_find(tx.conn(), &new.tenant_id, &new.client_id).await
}

async fn replace_secret(
    tx: &mut ChangeTx<'_>,
    tenant_id: &TenantId,
    client_id: &ClientId,
    secret: SecretHash,
    others_until: OffsetDateTime,
) -> Step<OAuthClient> {
    let at = tx.at();
    let client = must_find(tx.conn(), tenant_id, client_id).await?;
    if client.jwks.is_some() {
        return Err(Conflict::ClientHasKeys.into());
    }
    for (statement, moment) in [(LIMIT_SECRETS, others_until), (DROP_SECRETS, at)] {
        query(statement)
            .bind(tenant_id.as_str())
            .bind(client_id.as_str())
            .bind(ms(moment))
            .execute(tx.conn())
            .await?;
    }
    add_secret(tx, tenant_id, client_id, secret).await?;
    let event = Event::OauthClientSecretAdded {
        client_id: client_id.clone(),
    };
    tx.post(&Chain::Tenant(tenant_id.clone()), &event).await?;
    must_find(tx.conn(), tenant_id, client_id).await
}

async fn replace_keys(
    tx: &mut ChangeTx<'_>,
    tenant_id: &TenantId,
    client_id: &ClientId,
    jwks: &str,
) -> Step<OAuthClient> {
    must_find(tx.conn(), tenant_id, client_id).await?;
    query(DROP_ALL_SECRETS)
        .bind(tenant_id.as_str())
        .bind(client_id.as_str())
        .execute(tx.conn())
        .await?;
    query(SET_JWKS)
        .bind(tenant_id.as_str())
        .bind(client_id.as_str())
        .bind(jwks)
        .execute(tx.conn())
        .await?;
    let event = Event::OauthClientKeysReplaced {
        client_id: client_id.clone(),
    };
    tx.post(&Chain::Tenant(tenant_id.clone()), &event).await?;
    must_find(tx.conn(), tenant_id, client_id).await
}

async fn delete(tx: &mut ChangeTx<'_>, tenant_id: &TenantId, client_id: &ClientId) -> Step<()> {
    let deleted = query(DELETE)
        .bind(tenant_id.as_str())
        .bind(client_id.as_str())
        .execute(tx.conn())
        .await?;
    if deleted == 0 {
        return Err(Entity::Client.into());
    }
    let event = Event::OauthClientDeleted {
        client_id: client_id.clone(),
    };
    tx.post(&Chain::Tenant(tenant_id.clone()), &event).await
}

#[async_trait]
impl ClientStore for SqlStore {
    async fn create_client(&self, change: Change, client: NewClient) -> Result<OAuthClient> {
        self.run_change(
            "create_client",
            Isolation::Serializable,
            change,
            move |tx| Box::pin(async move { create(tx, &client).await }),
        )
        .await
    }

    async fn client(&self, client_id: &ClientId) -> Result<Option<OAuthClient>> {
        self.read("client", async |conn| find(conn, client_id).await)
            .await
    }

    async fn clients(&self, tenant_id: &TenantId, page: PageRequest) -> Result<Page<OAuthClient>> {
        let list = query(LIST).bind(tenant_id.as_str());
        self.page("clients", list, &page, read, |client| {
            place(client.created_at, client.client_id.as_str())
        })
        .await
    }

    async fn add_client_secret(
        &self,
        change: Change,
        tenant_id: &TenantId,
        client_id: &ClientId,
        secret: SecretHash,
        others_until: OffsetDateTime,
    ) -> Result<OAuthClient> {
        let (tenant_id, client_id) = (tenant_id.clone(), client_id.clone());
        let until = to_millisecond(others_until);
        self.run_change(
            "add_client_secret",
            Isolation::Serializable,
            change,
            move |tx| {
                Box::pin(
                    async move { replace_secret(tx, &tenant_id, &client_id, secret, until).await },
                )
            },
        )
        .await
    }

    async fn replace_client_keys(
        &self,
        change: Change,
        tenant_id: &TenantId,
        client_id: &ClientId,
        jwks: String,
    ) -> Result<OAuthClient> {
        let (tenant_id, client_id) = (tenant_id.clone(), client_id.clone());
        self.run_change(
            "replace_client_keys",
            Isolation::Serializable,
            change,
            move |tx| {
                Box::pin(async move { replace_keys(tx, &tenant_id, &client_id, &jwks).await })
            },
        )
        .await
    }

    async fn delete_client(
        &self,
        change: Change,
        tenant_id: &TenantId,
        client_id: &ClientId,
    ) -> Result<()> {
        let (tenant_id, client_id) = (tenant_id.clone(), client_id.clone());
        self.run_change(
            "delete_client",
            Isolation::Serializable,
            change,
            move |tx| Box::pin(async move { delete(tx, &tenant_id, &client_id).await }),
        )
        .await
    }
}
