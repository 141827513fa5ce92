use identity_pki::TenantId;
use time::OffsetDateTime;

use super::state::State;
use crate::posting::{Entropy, PostedWebhook, posting};
use crate::{
    Chain, Change, Conflict, Entity, Error, Event, Notice, OutboxEvent, Result, Tenant, User,
    UserId,
};

/// A change under way, on a copy of the state.
pub(super) struct Transaction<'a> {
    pub(super) state: State,
    pub(super) change: Change,
    entropy: &'a Entropy,
    notices: Vec<Notice>,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(state: State, change: Change, entropy: &'a Entropy) -> Self {
        Self {
            state,
            change,
            entropy,
            notices: Vec::new(),
        }
    }

    /// When the change happens.
    pub(super) fn at(&self) -> OffsetDateTime {
        self.change.at
    }

    /// Tells `notice` once this is committed.
    pub(super) fn notify(&mut self, notice: Notice) {
        self.notices.push(notice);
    }

    /// Keeps the change's answer and gives the state to be committed, and what to tell then.
    pub(super) fn finish(mut self) -> Result<(State, Vec<Notice>)> {
        if let Some(lease) = &self.change.lease {
            let row = self.state.leases.get(&lease.name);
            if !row.is_some_and(|row| row.is_still(lease)) {
                return Err(Error::Conflict(Conflict::LeaseLost));
            }
        }
        if let Some(answer) = self.change.answer {
            match self.state.answers.get_mut(&answer.key) {
                Some(reserved) if reserved.waits(answer.lease_until) => {
                    reserved.answer = Some(answer);
                }
                Some(_) | None => return Err(Error::Conflict(Conflict::RequestAnswered)),
            }
        }
        Ok((self.state, self.notices))
    }

    /// Tells of an event in the tenant's chain, and to its webhooks.
    pub(super) fn tell(&mut self, tenant_id: &TenantId, event: &Event) {
        self.post(&Chain::Tenant(tenant_id.clone()), event);
    }

    /// Tells of an event in the platform's chain.
    pub(super) fn tell_platform(&mut self, event: &Event) {
        self.post(&Chain::Platform, event);
    }

    /// Tells of an event: an audit row unless the tenant switched its audit off, and an outbox row
    /// if the event has a webhook.
    pub(super) fn post(&mut self, chain: &Chain, event: &Event) {
        let posting = posting(&self.change, chain, event, self.entropy);
        if self.is_audited(chain) {
            self.state.unsealed.push_back(posting.row);
        }
        if let Some(webhook) = posting.webhook {
            self.enqueue(chain.tenant_id().cloned(), webhook);
        }
    }

    fn is_audited(&self, chain: &Chain) -> bool {
        chain
            .tenant_id()
            .and_then(|tenant_id| self.state.tenants.get(tenant_id))
            .is_none_or(|tenant| tenant.config.audit_enabled)
    }

    fn enqueue(&mut self, tenant_id: Option<TenantId>, webhook: PostedWebhook) {
        self.state.unplaced.push_back(OutboxEvent {
            position: 0,
            event_id: webhook.event_id,
            tenant_id,
            event_type: webhook.event_type.to_owned(),
            subject: webhook.subject,
            sequence: 0,
            at: self.change.at,
            data: webhook.data,
        });
    }

    pub(super) fn tenant_mut(&mut self, tenant_id: &TenantId) -> Result<&mut Tenant> {
        let tenant = self.state.tenants.get_mut(tenant_id);
        tenant.ok_or(Error::NotFound(Entity::Tenant))
    }

    pub(super) fn user_mut(&mut self, tenant_id: &TenantId, user_id: &UserId) -> Result<&mut User> {
        let user = self
            .state
            .users
            .get_mut(&(tenant_id.clone(), user_id.clone()));
        user.ok_or(Error::NotFound(Entity::User))
    }

    /// The user, or one who is being erased.
    pub(super) fn user_even_erased(&self, tenant_id: &TenantId, user_id: &UserId) -> Result<&User> {
        let key = (tenant_id.clone(), user_id.clone());
        let erasing = self.state.erasing.get(&key).map(|(user, _)| user);
        let user = self.state.users.get(&key).or(erasing);
        user.ok_or(Error::NotFound(Entity::User))
    }
}

/// A count as the platform-independent number that traits speak of.
pub(super) fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// A limit as a count.
pub(super) fn as_usize(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
