use async_trait::async_trait;
use identity_pki::{DeviceIdentity, TenantId};
use time::OffsetDateTime;

use crate::{
    AttemptLease, AttemptStart, AttemptVerdict, ChallengeFilter, ChallengeId, Change, NewChallenge,
    Page, PageRequest, Result, SampleDigest, StoredChallenge, StoredVerdict,
};

/// Challenges and their attempts. Every transition is decided by
/// [`Challenge`](identity_challenge::Challenge) on the row as it is inside the transaction.
#[async_trait]
pub trait ChallengeStore: Send + Sync {
    /// Creates a challenge if [`identity_challenge::admit`] allows it for the user, the device and
    /// the tenant's settings as they are inside the transaction. Event: `challenge_created`.
    ///
    /// # Errors
    ///
    /// [`Error::Admission`](crate::Error::Admission) with the first gate that is shut.
    async fn create_challenge(&self, change: Change, new: NewChallenge) -> Result<StoredChallenge>;

    /// Reads a challenge. An overdue one may still read as open: the sweeper has not reached it.
    async fn challenge(
        &self,
        tenant_id: &TenantId,
        challenge_id: &ChallengeId,
    ) -> Result<Option<StoredChallenge>>;

    /// Lists a tenant's challenges, newest first.
    async fn challenges(
        &self,
        tenant_id: &TenantId,
        filter: ChallengeFilter,
        page: PageRequest,
    ) -> Result<Page<StoredChallenge>>;

    /// The challenges of a device that are open at `now`, oldest first.
    async fn open_challenges(
        &self,
        device: &DeviceIdentity,
        now: OffsetDateTime,
    ) -> Result<Vec<StoredChallenge>>;

    /// Claims, denies or cancels a challenge. A claim of one in progress changes nothing.
    /// Events: `challenge_denied`, `challenge_canceled`.
    ///
    /// # Errors
    ///
    /// [`Entity::Challenge`](crate::Entity::Challenge) is not found;
    /// [`Error::Challenge`](crate::Error::Challenge) when the state does not allow it.
    async fn transition_challenge(
        &self,
        change: Change,
        tenant_id: &TenantId,
        challenge_id: &ChallengeId,
        event: identity_challenge::Event,
    ) -> Result<StoredChallenge>;

    /// Starts deciding on a sample: the challenge is in progress, and no other attempt of it can
    /// start before `lease_until` or the end of this one. Checked in this order: the challenge's
    /// state; another attempt under way; a sample of this tenant that was decided on before; the
    /// user's throttle.
    ///
    /// # Errors
    ///
    /// [`Entity::Challenge`](crate::Entity::Challenge) is not found;
    /// [`Error::Challenge`](crate::Error::Challenge) when the state does not allow it;
    /// [`Conflict::AttemptInProgress`](crate::Conflict::AttemptInProgress).
    async fn begin_attempt(
        &self,
        change: Change,
        tenant_id: &TenantId,
        challenge_id: &ChallengeId,
        sample: SampleDigest,
        lease_until: OffsetDateTime,
    ) -> Result<AttemptStart>;

    /// Commits what came of an attempt: the challenge, the attempt, the user's throttle and palms.
    /// An attempt whose vendor did not decide consumes no try, and its sample may be sent again.
    /// A palm that was enrolled although the challenge ended meanwhile is due for erasure.
    /// Events: `verification_complete`, `verification_failed`, `palm_enrolled`,
    /// `palm_enrollment_failed`, `palm_vendor_unauthorized` and `ops_alert`, `user_locked`.
    ///
    /// # Errors
    ///
    /// [`Conflict::AttemptEnded`](crate::Conflict::AttemptEnded) when the lease was finished or
    /// passed on; [`Error::Challenge`](crate::Error::Challenge) when the challenge ended meanwhile.
    async fn finish_attempt(
        &self,
        change: Change,
        lease: AttemptLease,
        verdict: AttemptVerdict,
    ) -> Result<StoredVerdict>;

    /// Moves at most `limit` open challenges that are overdue at `change.at` to `expired`, and
    /// returns them. Event: `challenge_expired` for each.
    async fn expire_challenges(&self, change: Change, limit: u32) -> Result<Vec<StoredChallenge>>;
}
