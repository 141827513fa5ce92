use async_trait::async_trait;
use identity_pki::TenantId;
use time::OffsetDateTime;

use super::MemoryStore;
use super::transaction::as_u64;
use crate::{AssertionSha256, Change, ClientId, Event, IssuedToken, Result, TokenStore};

#[async_trait]
impl TokenStore for MemoryStore {
    async fn token_stands(&self, token: &IssuedToken) -> Result<bool> {
        let state = self.state();
        let client = state.clients.get(&token.client_id);
        let is_theirs = client.is_some_and(|client| client.tenant_id == token.tenant_id);
        Ok(is_theirs && !state.revoked_tokens.contains_key(&key(token)))
    }

    async fn revoke_token(&self, change: Change, token: &IssuedToken) -> Result<()> {
        self.commit(change, |tx| {
            let before = tx.state.revoked_tokens.get(&key(token)).copied();
            if before.is_none() {
                tx.state.revoked_tokens.insert(key(token), token.expires_at);
                let (client_id, jti) = (token.client_id.clone(), token.jti.clone());
                tx.tell(&token.tenant_id, &Event::TokenRevoked { client_id, jti });
            }
            Ok(())
        })
    }

    async fn use_assertion(
        &self,
        tenant_id: &TenantId,
        client_id: &ClientId,
        assertion: AssertionSha256,
        expires_at: OffsetDateTime,
    ) -> Result<bool> {
        let key = (tenant_id.clone(), client_id.clone(), assertion);
        let used = &mut self.state().used_assertions;
        let is_first = !used.contains_key(&key);
        used.entry(key).or_insert(expires_at);
        Ok(is_first)
    }

    async fn purge_tokens(&self, now: OffsetDateTime) -> Result<u64> {
        let mut state = self.state();
        let count = |state: &super::State| state.revoked_tokens.len() + state.used_assertions.len();
        let before = count(&state);
        state.revoked_tokens.retain(|_, end| now < *end);
        state.used_assertions.retain(|_, end| now < *end);
        Ok(as_u64(before - count(&state)))
    }
}

fn key(token: &IssuedToken) -> (TenantId, String) {
    (token.tenant_id.clone(), token.jti.clone())
}
