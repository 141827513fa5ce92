use async_trait::async_trait;
use identity_pki::TenantId;
use time::OffsetDateTime;

use super::MemoryStore;
use super::state::AuthRequestRow;
use super::transaction::{Transaction, as_u64};
use crate::backchannel::AuthRequest;
use crate::{
    AuthRequestAnswer, AuthRequestSha256, BackchannelStore, Change, ClientId, Conflict, Error,
    NewChallenge, Result, StoredChallenge,
};

#[async_trait]
impl BackchannelStore for MemoryStore {
    async fn create_auth_request(
        &self,
        change: Change,
        challenge: NewChallenge,
        request: AuthRequestSha256,
    ) -> Result<StoredChallenge> {
        self.commit(change, |tx| {
            let record = tx.create_challenge(challenge)?;
            let key = (record.tenant_id.clone(), request);
            if tx.state.auth_requests.contains_key(&key) {
                return Err(Error::Conflict(Conflict::IdTaken));
            }
            let row = AuthRequestRow {
                challenge_id: record.challenge_id.clone(),
                request: AuthRequest::NEW,
                expires_at: record.challenge.expires_at(),
            };
            tx.state.auth_requests.insert(key, row);
            Ok(record)
        })
    }

    async fn poll_auth_request(
        &self,
        change: Change,
        tenant_id: &TenantId,
        client_id: &ClientId,
        request: AuthRequestSha256,
    ) -> Result<AuthRequestAnswer> {
        self.commit(change, |tx| {
            tx.poll_auth_request(tenant_id, client_id, request)
        })
    }

    async fn purge_auth_requests(&self, before: OffsetDateTime) -> Result<u64> {
        let requests = &mut self.state().auth_requests;
        let there = requests.len();
        requests.retain(|_, row| before < row.expires_at);
        Ok(as_u64(there - requests.len()))
    }
}

impl Transaction<'_> {
    fn poll_auth_request(
        &mut self,
        tenant_id: &TenantId,
        client_id: &ClientId,
        request: AuthRequestSha256,
    ) -> Result<AuthRequestAnswer> {
        let (at, key) = (self.at(), (tenant_id.clone(), request));
        let Some(mut row) = self.state.auth_requests.get(&key).cloned() else {
            return Ok(AuthRequestAnswer::Unknown);
        };
        let record = self.challenge_row(tenant_id, &row.challenge_id)?;
        let record = record.record.clone();
        let user = (tenant_id.clone(), record.user_id.clone());
        let user = self.state.users.get(&user);
        let answer;
        (answer, row.request) = row.request.poll(client_id, record, user, at);
        self.state.auth_requests.insert(key, row);
        if let Some(event) = answer.event(client_id) {
            self.tell(tenant_id, &event);
        }
        Ok(answer)
    }
}
