use async_trait::async_trait;
use identity_pki::TenantId;
use time::OffsetDateTime;

use super::MemoryStore;
use super::listing::page;
use super::transaction::Transaction;
use crate::{
    Change, ClientCredential, ClientId, ClientSecret, ClientStore, Conflict, Entity, Error, Event,
    NewClient, OAuthClient, Page, PageRequest, Result, SecretHash,
};

#[async_trait]
impl ClientStore for MemoryStore {
    async fn create_client(&self, change: Change, new: NewClient) -> Result<OAuthClient> {
        self.commit(change, |tx| {
            tx.tenant_mut(&new.tenant_id)?;
            if tx.state.clients.contains_key(&new.client_id) {
                return Err(Error::Conflict(Conflict::IdTaken));
            }
            let (secrets, jwks) = match new.credential {
                ClientCredential::Secret(hash) => (vec![unending(hash)], None),
                ClientCredential::Jwks(jwks) => (Vec::new(), Some(jwks)),
            };
            let client = OAuthClient {
                client_id: new.client_id.clone(),
                tenant_id: new.tenant_id,
                name: new.name,
                scopes: new.scopes,
                secrets,
                jwks,
                notification_endpoint: new.notification_endpoint,
                created_at: tx.at(),
            };
            let client_id = new.client_id.clone();
            tx.state.clients.insert(new.client_id, client.clone());
            tx.tell(&client.tenant_id, &Event::OauthClientCreated { client_id });
            Ok(client)
        })
    }

    async fn client(&self, client_id: &ClientId) -> Result<Option<OAuthClient>> {
        Ok(self.state().clients.get(client_id).cloned())
    }

    async fn clients(
        &self,
        tenant_id: &TenantId,
        request: PageRequest,
    ) -> Result<Page<OAuthClient>> {
        let clients = self
            .state()
            .clients
            .values()
            .filter(|client| client.tenant_id == *tenant_id)
            .cloned()
            .collect();
        page(clients, &request, |client: &OAuthClient| {
            (client.created_at, client.client_id.as_str())
        })
    }

    async fn add_client_secret(
        &self,
        change: Change,
        tenant_id: &TenantId,
        client_id: &ClientId,
        secret: SecretHash,
        others_until: OffsetDateTime,
    ) -> Result<OAuthClient> {
        self.commit(change, |tx| {
            let at = tx.at();
            let client = tx.client_mut(tenant_id, client_id)?;
            if client.jwks.is_some() {
                return Err(Error::Conflict(Conflict::ClientHasKeys));
            }
            for other in &mut client.secrets {
                let end = other.expires_at.unwrap_or(others_until);
                other.expires_at = Some(end.min(others_until));
            }
            client
                .secrets
                .retain(|other| other.expires_at.is_none_or(|end| at < end));
            client.secrets.push(unending(secret));
            let client = client.clone();
            let client_id = client_id.clone();
            tx.tell(tenant_id, &Event::OauthClientSecretAdded { client_id });
            Ok(client)
        })
    }

    async fn replace_client_keys(
        &self,
        change: Change,
        tenant_id: &TenantId,
        client_id: &ClientId,
        jwks: String,
    ) -> Result<OAuthClient> {
        self.commit(change, |tx| {
            let client = tx.client_mut(tenant_id, client_id)?;
            client.secrets.clear();
            client.jwks = Some(jwks);
            let client = client.clone();
            let client_id = client_id.clone();
            tx.tell(tenant_id, &Event::OauthClientKeysReplaced { client_id });
            Ok(client)
        })
    }

    async fn delete_client(
        &self,
        change: Change,
        tenant_id: &TenantId,
        client_id: &ClientId,
    ) -> Result<()> {
        self.commit(change, |tx| {
            tx.client_mut(tenant_id, client_id)?;
            tx.state.clients.remove(client_id);
            let client_id = client_id.clone();
            tx.tell(tenant_id, &Event::OauthClientDeleted { client_id });
            Ok(())
        })
    }
}

fn unending(hash: SecretHash) -> ClientSecret {
    ClientSecret {
        hash,
        expires_at: None,
    }
}

impl Transaction<'_> {
    fn client_mut(
        &mut self,
        tenant_id: &TenantId,
        client_id: &ClientId,
    ) -> Result<&mut OAuthClient> {
        self.state
            .clients
            .get_mut(client_id)
            .filter(|client| client.tenant_id == *tenant_id)
            .ok_or(Error::NotFound(Entity::Client))
    }
}
