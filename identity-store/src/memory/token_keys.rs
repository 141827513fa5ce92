use async_trait::async_trait;
use time::OffsetDateTime;

use super::MemoryStore;
use crate::{
    Change, Event, NamedSecret, NextTokenKey, Result, RetiredTokenKey, TokenKeyStore, TokenKeys,
};

#[async_trait]
impl TokenKeyStore for MemoryStore {
    async fn token_keys(&self) -> Result<TokenKeys> {
        let state = self.state();
        let mut keys = state.token_keys.clone();
        keys.active = state.secrets.get(&NamedSecret::TokenSigningKey).cloned();
        Ok(keys)
    }

    async fn date_token_key(&self, since: OffsetDateTime) -> Result<()> {
        let mut state = self.state();
        if state.secrets.contains_key(&NamedSecret::TokenSigningKey) {
            state.token_keys.active_since.get_or_insert(since);
        }
        Ok(())
    }

    async fn publish_token_key(&self, change: Change, key: NextTokenKey) -> Result<()> {
        self.commit(change, |tx| {
            let key_id = key.key_id.clone();
            tx.state.token_keys.next = Some(key);
            tx.tell_platform(&Event::TokenKeyPublished { key_id });
            Ok(())
        })
    }

    async fn activate_token_key(
        &self,
        change: Change,
        retired_key_id: String,
        retired: String,
    ) -> Result<bool> {
        self.commit(change, |tx| {
            let at = tx.at();
            let keys = &mut tx.state.token_keys;
            let Some(next) = keys.next.take_if(|next| next.active_from <= at) else {
                return Ok(false);
            };
            keys.active_since = Some(at);
            keys.retired.push(RetiredTokenKey {
                key_id: retired_key_id,
                public_jwk: retired,
                retired_at: at,
            });
            let name = NamedSecret::TokenSigningKey;
            tx.state.secrets.insert(name, next.secret);
            let key_id = next.key_id;
            tx.tell_platform(&Event::TokenKeyActivated { key_id });
            Ok(true)
        })
    }
}
