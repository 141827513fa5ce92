use async_trait::async_trait;
use identity_challenge::{CancelReason, ChallengeStatus};
use identity_pki::{DeviceIdentity, TenantId};
use time::OffsetDateTime;

use super::MemoryStore;
use super::listing::page;
use super::state::{ChallengeRow, State};
use super::transaction::{Transaction, as_usize};
use crate::attempt::admit;
use crate::{
    AttemptLease, AttemptStanding, AttemptStart, AttemptVerdict, ChallengeFilter, ChallengeId,
    ChallengeStep, ChallengeStore, Change, Conflict, Entity, Error, Event, NewChallenge, Page,
    PageRequest, Result, SampleDigest, StoredChallenge, StoredVerdict, TenantConfig, UserId,
};

#[async_trait]
impl ChallengeStore for MemoryStore {
    async fn create_challenge(&self, change: Change, new: NewChallenge) -> Result<StoredChallenge> {
        self.commit(change, |tx| tx.create_challenge(new))
    }

    async fn challenge(
        &self,
        tenant_id: &TenantId,
        challenge_id: &ChallengeId,
    ) -> Result<Option<StoredChallenge>> {
        let key = (tenant_id.clone(), challenge_id.clone());
        let state = self.state();
        Ok(state.challenges.get(&key).map(|row| row.record.clone()))
    }

    async fn challenges(
        &self,
        tenant_id: &TenantId,
        filter: ChallengeFilter,
        request: PageRequest,
    ) -> Result<Page<StoredChallenge>> {
        let challenges = self
            .state()
            .challenges
            .values()
            .map(|row| &row.record)
            .filter(|record| record.tenant_id == *tenant_id && matches(record, &filter))
            .cloned()
            .collect();
        page(challenges, &request, |record: &StoredChallenge| {
            let made = record.challenge.created_at();
            (made, record.challenge_id.as_str())
        })
    }

    async fn transition_challenge(
        &self,
        change: Change,
        tenant_id: &TenantId,
        challenge_id: &ChallengeId,
        step: ChallengeStep,
    ) -> Result<StoredChallenge> {
        self.commit(change, |tx| {
            let record = tx.challenge_row(tenant_id, challenge_id)?.record.clone();
            tx.step(record, step)
        })
    }

    async fn begin_attempt(
        &self,
        change: Change,
        tenant_id: &TenantId,
        challenge_id: &ChallengeId,
        sample: SampleDigest,
        lease_until: OffsetDateTime,
    ) -> Result<AttemptStart> {
        self.commit(change, |tx| {
            tx.begin_attempt(tenant_id, challenge_id, sample, lease_until)
        })
    }

    async fn finish_attempt(
        &self,
        change: Change,
        lease: AttemptLease,
        verdict: AttemptVerdict,
    ) -> Result<StoredVerdict> {
        // The outer result says whether anything is committed, the inner one what is answered.
        self.commit(change, |tx| tx.finish_attempt(&lease, &verdict))?
    }

    async fn attempt(
        &self,
        tenant_id: &TenantId,
        challenge_id: &ChallengeId,
        number: u32,
    ) -> Result<Option<AttemptStanding>> {
        let key = (tenant_id.clone(), challenge_id.clone());
        let state = self.state();
        let row = state.challenges.get(&key);
        Ok(row.and_then(|row| row.attempt(as_usize(number))))
    }

    async fn expire_challenges(&self, change: Change, limit: u32) -> Result<Vec<StoredChallenge>> {
        self.commit(change, |tx| tx.expire_challenges(limit))
    }
}

impl State {
    /// The challenges of a device that are open at `now`, oldest first.
    pub(super) fn open_at_device(
        &self,
        device: &DeviceIdentity,
        now: OffsetDateTime,
    ) -> Vec<StoredChallenge> {
        self.open_challenges(now, |record| is_at(record, device))
    }

    /// The challenges that are open at `now`, oldest first.
    fn open_challenges(
        &self,
        now: OffsetDateTime,
        wanted: impl Fn(&StoredChallenge) -> bool,
    ) -> Vec<StoredChallenge> {
        let mut open: Vec<StoredChallenge> = self
            .challenges
            .values()
            .map(|row| &row.record)
            .filter(|record| record.challenge.ensure_open(now).is_ok() && wanted(record))
            .cloned()
            .collect();
        open.sort_by_key(|record| record.challenge.created_at());
        open
    }
}

impl Transaction<'_> {
    pub(super) fn challenge_row(
        &mut self,
        tenant_id: &TenantId,
        challenge_id: &ChallengeId,
    ) -> Result<&mut ChallengeRow> {
        let key = (tenant_id.clone(), challenge_id.clone());
        let row = self.state.challenges.get_mut(&key);
        row.ok_or(Error::NotFound(Entity::Challenge))
    }

    pub(super) fn create_challenge(&mut self, new: NewChallenge) -> Result<StoredChallenge> {
        let at = self.at();
        let state = &self.state;
        let key = (new.tenant_id.clone(), new.challenge_id.clone());
        let identity = DeviceIdentity::new(new.tenant_id.clone(), new.device_id.clone());
        let user = state
            .users
            .get(&(new.tenant_id.clone(), new.user_id.clone()));
        let device = state.devices.get(&identity).map(|row| row.at(at));
        let open = state.open_at_device(&identity, at);
        let open = u32::try_from(open.len()).unwrap_or(u32::MAX);
        let config = match state.tenants.get(&new.tenant_id) {
            Some(tenant) => tenant.config.clone(),
            // It has no users either, and that is what admission will say.
            None => TenantConfig::default(),
        };
        let record = admit(new, user, device.as_ref(), open, &config, at)?;
        if state.challenges.contains_key(&key) {
            return Err(Error::Conflict(Conflict::IdTaken));
        }
        let row = ChallengeRow {
            record: record.clone(),
            attempts: Vec::new(),
        };
        self.state.challenges.insert(key, row);
        self.notify(record.notice());
        self.tell(&record.tenant_id, &Event::ChallengeCreated(record.facts()));
        Ok(record)
    }

    fn step(
        &mut self,
        mut record: StoredChallenge,
        step: ChallengeStep,
    ) -> Result<StoredChallenge> {
        let next = record.challenge.apply(step.event(), self.at());
        record.challenge = next.map_err(Error::Challenge)?;
        self.put_challenge(&record)?;
        let facts = record.facts();
        match step {
            ChallengeStep::Claim => {}
            ChallengeStep::Deny { reason } => {
                self.tell(&record.tenant_id, &Event::ChallengeDenied { facts, reason });
            }
            ChallengeStep::Cancel(_) => {
                self.tell(&record.tenant_id, &Event::ChallengeCanceled(facts));
            }
        }
        Ok(record)
    }

    /// Stores a challenge's next value. A palm that the palm server may hold for nobody from now on
    /// is due for erasure.
    pub(super) fn put_challenge(&mut self, record: &StoredChallenge) -> Result<()> {
        let row = self.challenge_row(&record.tenant_id, &record.challenge_id)?;
        row.record = record.clone();
        let in_doubt = row.is_in_doubt();
        self.notify(record.notice());
        self.make_notification_due(record);
        if let Some(palm_type) = record.stray_palm().filter(|_| in_doubt) {
            self.erase_stray(record, palm_type)?;
        }
        Ok(())
    }

    /// Cancels the open challenges at a device.
    pub(super) fn cancel_challenges_at(
        &mut self,
        device: &DeviceIdentity,
        reason: CancelReason,
    ) -> Result<()> {
        self.cancel_challenges(reason, |record| is_at(record, device))
    }

    /// Cancels the open challenges of a user.
    pub(super) fn cancel_challenges_of(
        &mut self,
        tenant_id: &TenantId,
        user_id: &UserId,
        reason: CancelReason,
    ) -> Result<()> {
        self.cancel_challenges(reason, |record| {
            record.tenant_id == *tenant_id && record.user_id == *user_id
        })
    }

    fn cancel_challenges(
        &mut self,
        reason: CancelReason,
        wanted: impl Fn(&StoredChallenge) -> bool,
    ) -> Result<()> {
        for record in self.state.open_challenges(self.at(), wanted) {
            self.step(record, ChallengeStep::Cancel(reason))?;
        }
        Ok(())
    }

    fn expire_challenges(&mut self, limit: u32) -> Result<Vec<StoredChallenge>> {
        let at = self.at();
        let mut overdue: Vec<StoredChallenge> = self
            .state
            .challenges
            .values()
            .map(|row| &row.record)
            .filter(|record| record.challenge.is_overdue(at))
            .cloned()
            .collect();
        overdue.sort_by_key(|record| record.challenge.expires_at());
        overdue.truncate(as_usize(limit));
        for record in &mut overdue {
            let next = record
                .challenge
                .apply(identity_challenge::Event::Expire, at);
            record.challenge = next.map_err(Error::Challenge)?;
            self.put_challenge(record)?;
            self.tell(&record.tenant_id, &Event::ChallengeExpired(record.facts()));
        }
        Ok(overdue)
    }
}

fn is_at(record: &StoredChallenge, device: &DeviceIdentity) -> bool {
    record.tenant_id == *device.tenant_id() && record.device_id == *device.device_id()
}

fn matches(record: &StoredChallenge, filter: &ChallengeFilter) -> bool {
    let status: Option<ChallengeStatus> = filter.status;
    status.is_none_or(|status| record.challenge.status() == status)
        && filter
            .user_id
            .as_ref()
            .is_none_or(|user_id| record.user_id == *user_id)
        && filter
            .device_id
            .as_ref()
            .is_none_or(|device_id| record.device_id == *device_id)
        && filter
            .client_reference
            .as_ref()
            .is_none_or(|reference| record.client_reference.as_ref() == Some(reference))
}
