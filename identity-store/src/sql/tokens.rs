//! Access tokens that were revoked, and client assertions that were used.

use async_trait::async_trait;
use identity_pki::TenantId;
use time::OffsetDateTime;

use super::SqlStore;
use super::column::ms;
use super::fault::Step;
use super::query::query;
use super::tx::{ChangeTx, Isolation};
use crate::{AssertionSha256, Chain, Change, ClientId, Event, IssuedToken, Result, TokenStore};

const STANDS: &str = "
    SELECT 1 FROM oauth_clients WHERE tenant_id = $1 AND client_id = $2
    AND NOT EXISTS (SELECT 1 FROM revoked_tokens WHERE tenant_id = $1 AND jti = $3)";
const REVOKE: &str = "
    INSERT INTO revoked_tokens (tenant_id, jti, expires_at) VALUES ($1, $2, $3)
    ON CONFLICT DO NOTHING";
const USE: &str = "
    INSERT INTO used_assertions (tenant_id, client_id, assertion_sha256, expires_at)
    VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
/// At most $2.
const PURGE_TOKENS: &str = "
    DELETE FROM revoked_tokens WHERE (tenant_id, jti) IN (
        SELECT tenant_id, jti FROM revoked_tokens WHERE expires_at <= $1
        ORDER BY expires_at LIMIT $2)";
/// At most $2.
const PURGE_ASSERTIONS: &str = "
    DELETE FROM used_assertions WHERE (tenant_id, client_id, assertion_sha256) IN (
        SELECT tenant_id, client_id, assertion_sha256 FROM used_assertions WHERE expires_at <= $1
        ORDER BY expires_at LIMIT $2)";

async fn revoke(tx: &mut ChangeTx<'_>, token: &IssuedToken) -> Step<()> {
    let revoked = query(REVOKE)
        .bind(token.tenant_id.as_str())
        .bind(&token.jti)
        .bind(ms(token.expires_at))
        .execute(tx.conn())
        .await?;
    if revoked == 0 {
        return Ok(());
    }
    let event = Event::TokenRevoked {
        client_id: token.client_id.clone(),
        jti: token.jti.clone(),
    };
    tx.post(&Chain::Tenant(token.tenant_id.clone()), &event)
        .await
}

#[async_trait]
impl TokenStore for SqlStore {
    async fn token_stands(&self, token: &IssuedToken) -> Result<bool> {
        self.read("token_stands", async |conn| {
            let row = query(STANDS)
                .bind(token.tenant_id.as_str())
                .bind(token.client_id.as_str())
                .bind(&token.jti)
                .fetch_optional(conn)
                .await?;
            Ok(row.is_some())
        })
        .await
    }

    async fn revoke_token(&self, change: Change, token: &IssuedToken) -> Result<()> {
        let token = token.clone();
        self.run_change(
            "revoke_token",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(async move { revoke(tx, &token).await }),
        )
        .await
    }

    async fn use_assertion(
        &self,
        tenant_id: &TenantId,
        client_id: &ClientId,
        assertion: AssertionSha256,
        expires_at: OffsetDateTime,
    ) -> Result<bool> {
        let (tenant_id, client_id) = (tenant_id.clone(), client_id.clone());
        self.run_tx("use_assertion", Isolation::ReadCommitted, move |tx| {
            Box::pin(async move {
                let used = query(USE)
                    .bind(tenant_id.as_str())
                    .bind(client_id.as_str())
                    .bind(&assertion.0[..])
                    .bind(ms(expires_at));
                Ok(used.execute(tx.conn()).await? == 1)
            })
        })
        .await
    }

    async fn purge_tokens(&self, now: OffsetDateTime) -> Result<u64> {
        let tokens = self.purge("purge_tokens", PURGE_TOKENS, now).await?;
        let assertions = self
            .purge("purge_assertions", PURGE_ASSERTIONS, now)
            .await?;
        Ok(tokens + assertions)
    }
}
