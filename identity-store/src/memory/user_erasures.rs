use async_trait::async_trait;
use identity_challenge::{CancelReason, PalmType};
use identity_pki::TenantId;
use time::OffsetDateTime;

use super::MemoryStore;
use super::transaction::{Transaction, as_u64, as_usize};
use crate::{
    Change, Conflict, Entity, Erasure, ErasureId, ErasureStore, Error, Event, Result, Tombstone,
    UserId,
};

#[async_trait]
impl ErasureStore for MemoryStore {
    async fn begin_erasure(
        &self,
        change: Change,
        tenant_id: &TenantId,
        user_id: &UserId,
        erasure_id: ErasureId,
        reason: String,
    ) -> Result<Erasure> {
        self.commit(change, |tx| {
            let key = (tenant_id.clone(), user_id.clone());
            match tx.state.erasing.get(&key) {
                None => tx.begin_erasure(tenant_id, user_id, erasure_id, reason),
                Some((_, running)) if *running == erasure_id => {
                    let known = tx.state.user_erasures.get(&(key.0, erasure_id));
                    known.cloned().ok_or(Error::NotFound(Entity::User))
                }
                Some(_) => Err(Error::Conflict(Conflict::UserBeingErased)),
            }
        })
    }

    async fn erase_again(&self, change: Change, tombstone: Tombstone) -> Result<bool> {
        self.commit(change, |tx| {
            let mut users = tx.state.users.values();
            let known = users.find(|user| {
                user.tenant_id == tombstone.tenant_id && user.internal_id == tombstone.internal_id
            });
            let Some(user_id) = known.map(|user| user.user_id.clone()) else {
                return Ok(false);
            };
            let reason = "restored from a backup".to_owned();
            tx.begin_erasure(
                &tombstone.tenant_id,
                &user_id,
                tombstone.erasure_id.clone(),
                reason,
            )?;
            Ok(true)
        })
    }

    async fn erasure_of(&self, tenant_id: &TenantId, user_id: &UserId) -> Result<Option<Erasure>> {
        let state = self.state();
        let erasing = state.erasing.get(&(tenant_id.clone(), user_id.clone()));
        let key = erasing.map(|(_, erasure_id)| (tenant_id.clone(), erasure_id.clone()));
        Ok(key.and_then(|key| state.user_erasures.get(&key).cloned()))
    }

    async fn erasure(
        &self,
        tenant_id: &TenantId,
        erasure_id: &ErasureId,
    ) -> Result<Option<Erasure>> {
        let key = (tenant_id.clone(), erasure_id.clone());
        Ok(self.state().user_erasures.get(&key).cloned())
    }

    async fn running_erasures(&self, after: Option<&Erasure>, limit: u32) -> Result<Vec<Erasure>> {
        let place = |erasure: &Erasure| {
            let Tombstone {
                tenant_id,
                erasure_id,
                ..
            } = erasure.tombstone.clone();
            (erasure.requested_at, tenant_id, erasure_id)
        };
        let after = after.map(place);
        let state = self.state();
        let all = state.user_erasures.values();
        let running = all.filter(|erasure| erasure.completed_at.is_none());
        let beyond = running.filter(|erasure| after.as_ref().is_none_or(|it| place(erasure) > *it));
        let mut running: Vec<_> = beyond.cloned().collect();
        running.sort_by_key(place);
        running.truncate(as_usize(limit));
        Ok(running)
    }

    async fn erase_challenges(
        &self,
        tombstone: &Tombstone,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<u64> {
        let mut state = self.state();
        let mut erasing = state.erasing.iter();
        let whose = erasing.find(|((tenant_id, _), (_, erasure_id))| {
            (tenant_id, erasure_id) == (&tombstone.tenant_id, &tombstone.erasure_id)
        });
        let Some((user, _)) = whose.map(|(key, _)| (key.clone(), ())) else {
            return Ok(0);
        };
        let idle = state.challenges.iter().filter(|(_, row)| {
            (&row.record.tenant_id, &row.record.user_id) == (&user.0, &user.1)
                && !row.attempts.iter().any(|attempt| attempt.is_under_way(now))
        });
        let idle: Vec<_> = idle
            .take(as_usize(limit))
            .map(|(key, _)| key.clone())
            .collect();
        for key in &idle {
            state.challenges.remove(key);
        }
        state.auth_requests.retain(|(tenant_id, _), row| {
            !idle.contains(&(tenant_id.clone(), row.challenge_id.clone()))
        });
        Ok(as_u64(idle.len()))
    }

    async fn complete_erasure(
        &self,
        change: Change,
        tombstone: &Tombstone,
        receipt: String,
    ) -> Result<bool> {
        self.commit(change, |tx| Ok(tx.complete_erasure(tombstone, receipt)))
    }

    async fn tombstones(&self, after: Option<&Tombstone>, limit: u32) -> Result<Vec<Tombstone>> {
        let after = after.map(|after| (after.tenant_id.clone(), after.erasure_id.clone()));
        let state = self.state();
        let all = state.user_erasures.iter();
        let beyond = all.filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after));
        let tombstones = beyond.map(|(_, erasure)| erasure.tombstone.clone());
        Ok(tombstones.take(as_usize(limit)).collect())
    }
}

impl Transaction<'_> {
    fn begin_erasure(
        &mut self,
        tenant_id: &TenantId,
        user_id: &UserId,
        erasure_id: ErasureId,
        reason: String,
    ) -> Result<Erasure> {
        let erasure_key = (tenant_id.clone(), erasure_id.clone());
        if self.state.user_erasures.contains_key(&erasure_key) {
            return Err(Error::Conflict(Conflict::IdTaken));
        }
        let key = (tenant_id.clone(), user_id.clone());
        let user = self.state.users.remove(&key);
        let mut user = user.ok_or(Error::NotFound(Entity::User))?;
        user.palms.clear();
        self.state.consents.remove(&key);
        for palm_type in PalmType::ALL {
            self.request_erasure(tenant_id, user_id, *palm_type);
        }
        let erasure = Erasure {
            tombstone: Tombstone {
                tenant_id: tenant_id.clone(),
                erasure_id: erasure_id.clone(),
                internal_id: user.internal_id.clone(),
            },
            requested_at: self.at(),
            palm_server_at: None,
            completed_at: None,
            receipt: None,
        };
        let deleted = Event::UserDeleted {
            user: user.subject(),
            erasure_id: erasure_id.clone(),
            reason,
        };
        self.state.erasing.insert(key, (user, erasure_id));
        self.state
            .user_erasures
            .insert(erasure_key, erasure.clone());
        self.tell(tenant_id, &deleted);
        self.cancel_challenges_of(tenant_id, user_id, CancelReason::UserBarred)?;
        Ok(erasure)
    }

    /// Notes that the palm server has answered for all palms of a user who is being erased, if it has.
    pub(super) fn palm_server_answered(&mut self, tenant_id: &TenantId, user_id: &UserId) {
        let at = self.at();
        let key = (tenant_id.clone(), user_id.clone());
        let Some((_, erasure_id)) = self.state.erasing.get(&key) else {
            return;
        };
        let erasure_key = (tenant_id.clone(), erasure_id.clone());
        let is_due = self.is_due(tenant_id, user_id);
        if let Some(erasure) = self.state.user_erasures.get_mut(&erasure_key)
            && !is_due
        {
            erasure.palm_server_at = Some(at);
        }
    }

    fn is_due(&self, tenant_id: &TenantId, user_id: &UserId) -> bool {
        let mut due = self.state.erasures.iter().map(|row| &row.erasure);
        due.any(|erasure| (&erasure.tenant_id, &erasure.user_id) == (tenant_id, user_id))
    }

    fn complete_erasure(&mut self, tombstone: &Tombstone, receipt: String) -> bool {
        let at = self.at();
        let (tenant_id, erasure_id) = (&tombstone.tenant_id, &tombstone.erasure_id);
        let mut erasing = self.state.erasing.iter();
        let whose =
            erasing.find(|(key, (_, running))| key.0 == *tenant_id && running == erasure_id);
        let Some(key) = whose.map(|(key, _)| key.clone()) else {
            return false;
        };
        let mut challenges = self.state.challenges.values().map(|row| &row.record);
        let is_left = challenges.any(|it| (&it.tenant_id, &it.user_id) == (&key.0, &key.1));
        let is_due = self.is_due(&key.0, &key.1);
        let erasure_key = (tenant_id.clone(), erasure_id.clone());
        let erasure = self.state.user_erasures.get_mut(&erasure_key);
        let Some(erasure) = erasure.filter(|it| it.palm_server_at.is_some()) else {
            return false;
        };
        if is_left || is_due {
            return false;
        }
        erasure.completed_at = Some(at);
        erasure.receipt = Some(receipt.clone());
        let completed = Event::ErasureCompleted {
            tombstone: erasure.tombstone.clone(),
            receipt,
        };
        self.state.erasing.remove(&key);
        self.tell(tenant_id, &completed);
        true
    }
}
