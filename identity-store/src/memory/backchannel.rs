use async_trait::async_trait;
use identity_pki::TenantId;
use time::OffsetDateTime;

use super::MemoryStore;
use super::state::AuthRequestRow;
use super::transaction::{Transaction, as_u64, as_usize};
use crate::backchannel::AuthRequest;
use crate::{
    AuthRequestAnswer, AuthRequestSha256, BackchannelStore, Change, ClaimedNotification, ClientId,
    Conflict, Error, NewChallenge, Result, SecretBytes, StoredChallenge,
};

#[async_trait]
impl BackchannelStore for MemoryStore {
    async fn create_auth_request(
        &self,
        change: Change,
        challenge: NewChallenge,
        request: AuthRequestSha256,
        notification: Option<SecretBytes>,
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
                notification,
                notify_at: None,
                notify_tries: 0,
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

    async fn claim_auth_notifications(
        &self,
        now: OffsetDateTime,
        until: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<ClaimedNotification>> {
        let mut state = self.state();
        let all = state.auth_requests.iter_mut();
        let due = all.filter_map(|((tenant_id, _), row)| {
            let notify_at = row.notify_at.filter(|at| *at <= now)?;
            Some((notify_at, tenant_id, row))
        });
        let mut due: Vec<_> = due.collect();
        due.sort_by_key(|(notify_at, ..)| *notify_at);
        let due = due.into_iter().take(as_usize(limit));
        let claimed = due.map(|(_, tenant_id, row)| {
            row.notify_at = Some(until);
            row.notify_tries += 1;
            ClaimedNotification {
                tenant_id: tenant_id.clone(),
                challenge_id: row.challenge_id.clone(),
                notification: row.notification.clone(),
                tries: row.notify_tries,
            }
        });
        Ok(claimed.collect())
    }

    async fn finish_auth_notification(
        &self,
        claimed: ClaimedNotification,
        again: Option<OffsetDateTime>,
    ) -> Result<()> {
        let mut state = self.state();
        let mut all = state.auth_requests.iter_mut();
        let row = all.find(|((tenant_id, _), row)| {
            (tenant_id, &row.challenge_id) == (&claimed.tenant_id, &claimed.challenge_id)
                && row.notify_tries == claimed.tries
        });
        if let Some((_, row)) = row {
            row.notify_at = again;
            if again.is_none() {
                row.notification = None;
            }
        }
        Ok(())
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

impl Transaction<'_> {
    /// Makes the notification due of a request whose challenge has ended.
    pub(super) fn make_notification_due(&mut self, record: &StoredChallenge) {
        let at = self.at();
        if !record.challenge.status().is_terminal() {
            return;
        }
        for ((tenant_id, _), row) in &mut self.state.auth_requests {
            let is_its =
                (tenant_id, &row.challenge_id) == (&record.tenant_id, &record.challenge_id);
            if is_its && row.notification.is_some() {
                row.notify_at = Some(at);
            }
        }
    }
}
