use async_trait::async_trait;
use identity_challenge::{CancelReason, PalmType, ThrottleDecision, UserThrottle};
use identity_pki::TenantId;
use time::OffsetDateTime;

use super::MemoryStore;
use super::listing::page;
use super::transaction::{Transaction, as_usize};
use crate::posting::to_millisecond;
use crate::{
    Change, Conflict, Consent, ConsentStatus, Entity, Error, Event, Kyc, NewConsent, NewUser, Page,
    PageRequest, PalmErasure, Result, User, UserEdit, UserId, UserPalmPolicy, UserStatus,
    UserStore,
};

#[async_trait]
impl UserStore for MemoryStore {
    async fn create_user(&self, change: Change, user: NewUser) -> Result<User> {
        self.commit(change, |tx| tx.create_user(user))
    }

    async fn user(&self, tenant_id: &TenantId, user_id: &UserId) -> Result<Option<User>> {
        let key = (tenant_id.clone(), user_id.clone());
        Ok(self.state().users.get(&key).cloned())
    }

    async fn users(&self, tenant_id: &TenantId, request: PageRequest) -> Result<Page<User>> {
        let state = self.state();
        let users = state
            .users
            .values()
            .filter(|user| user.tenant_id == *tenant_id);
        page(users.cloned().collect(), &request, |user: &User| {
            (user.created_at, user.internal_id.as_str())
        })
    }

    async fn update_user(
        &self,
        change: Change,
        tenant_id: &TenantId,
        user_id: &UserId,
        edit: UserEdit,
    ) -> Result<User> {
        self.edit_user(change, tenant_id, user_id, |user| {
            edit.apply(user);
        })
    }

    async fn set_user_suspended(
        &self,
        change: Change,
        tenant_id: &TenantId,
        user_id: &UserId,
        suspended: bool,
    ) -> Result<User> {
        self.commit(change, |tx| tx.suspend(tenant_id, user_id, suspended))
    }

    async fn clear_lock(
        &self,
        change: Change,
        tenant_id: &TenantId,
        user_id: &UserId,
    ) -> Result<User> {
        self.commit(change, |tx| {
            let user = tx.user_mut(tenant_id, user_id)?;
            set_throttle(user, UserThrottle::default());
            let user = user.clone();
            tx.tell(
                tenant_id,
                &Event::UserUnlocked {
                    user: user.subject(),
                },
            );
            Ok(user)
        })
    }

    async fn set_kyc(
        &self,
        change: Change,
        tenant_id: &TenantId,
        user_id: &UserId,
        kyc: Kyc,
    ) -> Result<User> {
        self.edit_user(change, tenant_id, user_id, |user| user.kyc = kyc)
    }

    async fn set_palm_policy(
        &self,
        change: Change,
        tenant_id: &TenantId,
        user_id: &UserId,
        policy: UserPalmPolicy,
    ) -> Result<User> {
        self.edit_user(change, tenant_id, user_id, |user| user.palm_policy = policy)
    }

    async fn record_consent(&self, change: Change, consent: NewConsent) -> Result<Consent> {
        self.commit(change, |tx| tx.record_consent(consent))
    }

    async fn consents(&self, tenant_id: &TenantId, user_id: &UserId) -> Result<Vec<Consent>> {
        let state = self.state();
        let answers = state.consents.get(&(tenant_id.clone(), user_id.clone()));
        Ok(answers.into_iter().flatten().rev().cloned().collect())
    }

    async fn withdraw_consent(
        &self,
        change: Change,
        tenant_id: &TenantId,
        user_id: &UserId,
    ) -> Result<User> {
        self.commit(change, |tx| {
            let user = tx.user_mut(tenant_id, user_id)?;
            if user.consent_status != ConsentStatus::Granted {
                return Err(Error::NotFound(Entity::Consent));
            }
            tx.withdraw_consent(tenant_id, user_id)
        })
    }

    async fn due_palm_erasures(&self, limit: u32) -> Result<Vec<PalmErasure>> {
        let state = self.state();
        let mut due: Vec<PalmErasure> = state
            .erasures
            .iter()
            .map(|row| row.erasure.clone())
            .collect();
        due.sort_by_key(|erasure| {
            let whose = (erasure.tenant_id.clone(), erasure.user_id.clone());
            (erasure.requested_at, whose, erasure.palm_type.as_str())
        });
        due.truncate(as_usize(limit));
        Ok(due)
    }

    async fn claim_palm_erasure(
        &self,
        erasure: &PalmErasure,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<bool> {
        let (now, until) = (to_millisecond(now), to_millisecond(until));
        Ok(self.state().claim_erasure(erasure, now, until))
    }

    async fn release_palm_erasure(
        &self,
        erasure: &PalmErasure,
        until: OffsetDateTime,
    ) -> Result<()> {
        self.state().release_erasure(erasure, to_millisecond(until));
        Ok(())
    }

    async fn finish_palm_erasure(&self, change: Change, erasure: PalmErasure) -> Result<()> {
        self.commit(change, |tx| tx.finish_palm_erasure(&erasure))
    }
}

impl MemoryStore {
    fn edit_user(
        &self,
        change: Change,
        tenant_id: &TenantId,
        user_id: &UserId,
        edit: impl FnOnce(&mut User),
    ) -> Result<User> {
        self.commit(change, |tx| {
            let user = tx.user_mut(tenant_id, user_id)?;
            edit(user);
            let user = user.clone();
            tx.tell(
                tenant_id,
                &Event::UserUpdated {
                    user: user.subject(),
                },
            );
            Ok(user)
        })
    }
}

impl Transaction<'_> {
    fn create_user(&mut self, new: NewUser) -> Result<User> {
        self.tenant_mut(&new.tenant_id)?;
        let key = (new.tenant_id.clone(), new.user_id.clone());
        if self.state.users.contains_key(&key) {
            return Err(Error::Conflict(Conflict::UserExists));
        }
        if self.state.erasing.contains_key(&key) {
            return Err(Error::Conflict(Conflict::UserBeingErased));
        }
        let erasing = self.state.erasing.values().map(|(user, _)| user);
        let mut known = self.state.users.values().chain(erasing);
        if known.any(|user| user.internal_id == new.internal_id) {
            return Err(Error::Conflict(Conflict::IdTaken));
        }
        let user = User {
            tenant_id: new.tenant_id,
            user_id: new.user_id,
            internal_id: new.internal_id,
            display_name: new.display_name,
            email: new.email,
            mobile: new.mobile,
            status: UserStatus::Active,
            palms: Vec::new(),
            consent_status: ConsentStatus::None,
            kyc: Kyc::default(),
            palm_policy: UserPalmPolicy::default(),
            throttle: UserThrottle::default(),
            created_at: self.at(),
        };
        self.state.users.insert(key, user.clone());
        let created = Event::UserCreated {
            user: user.subject(),
        };
        self.tell(&user.tenant_id, &created);
        Ok(user)
    }

    fn suspend(&mut self, tenant_id: &TenantId, user_id: &UserId, suspended: bool) -> Result<User> {
        let user = self.user_mut(tenant_id, user_id)?;
        let before = user.status;
        user.status = status(suspended, &user.throttle);
        let changes = suspended != (before == UserStatus::Suspended);
        let user = user.clone();
        if changes {
            let subject = user.subject();
            if suspended {
                self.tell(tenant_id, &Event::UserSuspended { user: subject });
                self.cancel_challenges_of(tenant_id, user_id, CancelReason::UserBarred)?;
            } else {
                self.tell(tenant_id, &Event::UserReactivated { user: subject });
            }
        }
        Ok(user)
    }

    fn record_consent(&mut self, consent: NewConsent) -> Result<Consent> {
        let at = self.at();
        let (tenant_id, user_id) = (consent.tenant_id.clone(), consent.user_id.clone());
        let user = self.user_mut(&tenant_id, &user_id)?;
        if consent.granted {
            user.consent_status = ConsentStatus::Granted;
            let granted = Event::ConsentGranted {
                user: user.subject(),
                version: consent.version.clone(),
            };
            self.tell(&tenant_id, &granted);
        } else if user.consent_status == ConsentStatus::Granted {
            self.withdraw_consent(&tenant_id, &user_id)?;
        } else {
            let refused = Event::ConsentWithdrawn {
                user: user.subject(),
            };
            self.tell(&tenant_id, &refused);
        }
        let consent = Consent {
            consent,
            recorded_at: at,
            withdrawn_at: None,
        };
        let answers = self.state.consents.entry((tenant_id, user_id));
        answers.or_default().push(consent.clone());
        Ok(consent)
    }

    fn withdraw_consent(&mut self, tenant_id: &TenantId, user_id: &UserId) -> Result<User> {
        let at = self.at();
        let user = self.user_mut(tenant_id, user_id)?;
        user.consent_status = ConsentStatus::Withdrawn;
        user.palms.clear();
        let user = user.clone();
        let key = (tenant_id.clone(), user_id.clone());
        for answer in self.state.consents.entry(key).or_default() {
            if answer.consent.granted && answer.withdrawn_at.is_none() {
                answer.withdrawn_at = Some(at);
            }
        }
        for palm_type in PalmType::ALL {
            self.request_erasure(tenant_id, user_id, *palm_type);
        }
        let withdrawn = Event::ConsentWithdrawn {
            user: user.subject(),
        };
        self.tell(tenant_id, &withdrawn);
        self.cancel_challenges_of(tenant_id, user_id, CancelReason::ConsentWithdrawn)?;
        Ok(user)
    }
}

/// Sets a user's failed tries, and the lock that they make.
pub(super) fn set_throttle(user: &mut User, throttle: UserThrottle) {
    user.status = status(user.status == UserStatus::Suspended, &throttle);
    user.throttle = throttle;
}

/// Whether a user may be verified. A lock never ends by itself, so no time is asked for.
fn status(suspended: bool, throttle: &UserThrottle) -> UserStatus {
    if suspended {
        return UserStatus::Suspended;
    }
    match throttle.decide(time::OffsetDateTime::UNIX_EPOCH) {
        ThrottleDecision::Locked => UserStatus::Locked,
        ThrottleDecision::Allowed | ThrottleDecision::Wait { .. } => UserStatus::Active,
    }
}
