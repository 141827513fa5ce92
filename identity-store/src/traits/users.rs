use async_trait::async_trait;
use identity_pki::TenantId;
use time::OffsetDateTime;

use crate::{
    Change, Consent, Kyc, NewConsent, NewUser, Page, PageRequest, PalmErasure, Result, User,
    UserEdit, UserId, UserPalmPolicy,
};

/// Users, their consent and their palms.
///
/// Where a user is named and not there, every method that changes one answers that
/// [`Entity::User`](crate::Entity::User) is not found.
#[async_trait]
pub trait UserStore: Send + Sync {
    /// Makes a user known. Event: `user_created`.
    ///
    /// # Errors
    ///
    /// [`Conflict::UserExists`](crate::Conflict::UserExists);
    /// [`Conflict::UserBeingErased`](crate::Conflict::UserBeingErased);
    /// [`Entity::Tenant`](crate::Entity::Tenant) is not found.
    async fn create_user(&self, change: Change, user: NewUser) -> Result<User>;

    /// Reads a user.
    async fn user(&self, tenant_id: &TenantId, user_id: &UserId) -> Result<Option<User>>;

    /// Lists a tenant's users, newest first.
    async fn users(&self, tenant_id: &TenantId, page: PageRequest) -> Result<Page<User>>;

    /// Changes a user's contact data. Event: `user_updated`.
    async fn update_user(
        &self,
        change: Change,
        tenant_id: &TenantId,
        user_id: &UserId,
        edit: UserEdit,
    ) -> Result<User>;

    /// Suspends or reactivates a user. `Locked` is not set here: it comes of failed tries, and
    /// [`clear_lock`](Self::clear_lock) ends it. A suspended user who is reactivated is locked
    /// again if they were. A suspension cancels the user's open challenges with reason
    /// `user_barred`. No event when nothing changes. Events: `user_suspended`, and
    /// `challenge_canceled` for each challenge; `user_reactivated`.
    async fn set_user_suspended(
        &self,
        change: Change,
        tenant_id: &TenantId,
        user_id: &UserId,
        suspended: bool,
    ) -> Result<User>;

    /// Starts the count of failed tries again, and ends a lock. Event: `user_unlocked`.
    async fn clear_lock(
        &self,
        change: Change,
        tenant_id: &TenantId,
        user_id: &UserId,
    ) -> Result<User>;

    /// Notes the outcome of an identity verification. Event: `user_updated`.
    async fn set_kyc(
        &self,
        change: Change,
        tenant_id: &TenantId,
        user_id: &UserId,
        kyc: Kyc,
    ) -> Result<User>;

    /// Sets which palms a user may be verified by. Event: `user_updated`.
    async fn set_palm_policy(
        &self,
        change: Change,
        tenant_id: &TenantId,
        user_id: &UserId,
        policy: UserPalmPolicy,
    ) -> Result<User>;

    /// Records a user's answer to a request for consent. A refusal withdraws a consent that stands,
    /// as [`withdraw_consent`](Self::withdraw_consent) does; where none stands, it is recorded and
    /// leaves the standing as it is. Events: `consent_granted`; `consent_withdrawn` for every
    /// refusal, and what a withdrawal adds.
    async fn record_consent(&self, change: Change, consent: NewConsent) -> Result<Consent>;

    /// A user's answers to requests for consent, newest first.
    async fn consents(&self, tenant_id: &TenantId, user_id: &UserId) -> Result<Vec<Consent>>;

    /// Withdraws a user's consent: enrolment is barred from now on, their palms no longer count,
    /// both palms are due for erasure at the palm server (one that no record tells of may be there),
    /// and their open challenges are canceled with reason `consent_withdrawn`. Events:
    /// `consent_withdrawn`, and `challenge_canceled` for each challenge.
    ///
    /// # Errors
    ///
    /// [`Entity::Consent`](crate::Entity::Consent) is not found: there is none to withdraw.
    async fn withdraw_consent(
        &self,
        change: Change,
        tenant_id: &TenantId,
        user_id: &UserId,
    ) -> Result<User>;

    /// Templates of all tenants that are due for erasure at the palm server, oldest first and those of
    /// one moment by tenant, user and palm, at most `limit`. There is one for each palm; a second request leaves the first one's time.
    async fn due_palm_erasures(&self, limit: u32) -> Result<Vec<PalmErasure>>;

    /// Takes an erasure up until `until`: nobody else does meanwhile, and no attempt to enrol the palm
    /// begins. `false` for one that is not, or no longer, due, that somebody has taken up, or whose
    /// palm an attempt may be enrolling at `now`. So the palm server is never asked to forget a palm
    /// and to learn it at the same time, provided that `until` comes after its time for an answer.
    async fn claim_palm_erasure(
        &self,
        erasure: &PalmErasure,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<bool>;

    /// Gives an erasure back, taken up until `until`, that the palm server did not carry out and is not
    /// about to. It stays due.
    async fn release_palm_erasure(
        &self,
        erasure: &PalmErasure,
        until: OffsetDateTime,
    ) -> Result<()>;

    /// Notes that the palm server erased a template. An erasure that is not, or no longer, due changes
    /// nothing, without an event. Event: `palm_erased`.
    async fn finish_palm_erasure(&self, change: Change, erasure: PalmErasure) -> Result<()>;
}
