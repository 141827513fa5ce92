use async_trait::async_trait;
use identity_pki::TenantId;
use time::OffsetDateTime;

use crate::{
    AttemptLease, AttemptStanding, AttemptStart, AttemptVerdict, ChallengeFilter, ChallengeId,
    ChallengeStep, Change, NewChallenge, Page, PageRequest, Result, SampleDigest, StoredChallenge,
    StoredVerdict,
};

/// Challenges and their attempts. Every transition is decided by
/// [`Challenge`](identity_challenge::Challenge) on the row as it is inside the transaction.
///
/// An attempt at an enrolment is in doubt when it ended with [`VendorState::Unknown`] or never was
/// finished: the palm server may have enrolled the palm. An enrolment that ends other than enrolled
/// after such an attempt leaves its palm due for erasure, unless the user has that palm enrolled. So
/// does an attempt that ends with [`VendorState::InTheWay`], at once: the challenge stays open, and
/// its palm can be enrolled when the erasure is over.
///
/// [`VendorState::Unknown`]: crate::VendorState::Unknown
/// [`VendorState::InTheWay`]: crate::VendorState::InTheWay
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

    /// Claims, denies or cancels a challenge. A claim of one in progress changes nothing.
    /// Events: `challenge_denied` with the device's reason, `challenge_canceled`.
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
        step: ChallengeStep,
    ) -> Result<StoredChallenge>;

    /// Starts deciding on a sample: the challenge is in progress, and no other attempt of it can
    /// start before `lease_until` or the end of this one. Checked in this order: the challenge's
    /// state; another attempt under way; a sample of this tenant that was decided on before, or of this
    /// user that is being decided on; the user's throttle, for which verifications under way are
    /// failures that may come, and of which an enrolment heeds the lock alone; for an enrolment, an
    /// erasure of the palm that was [claimed](crate::UserStore::claim_palm_erasure). A sample implies a
    /// claim: the challenge is in progress also when no attempt was started.
    ///
    /// What is under way at the user's open challenges counts until it is finished, its lease ends or
    /// passed on, so that a process that died holds nobody up for longer.
    /// `reconcile` is set for an enrolment with an earlier attempt in doubt.
    /// Event: `verification_failed` with reason `capture_replayed`, for a verification.
    ///
    /// # Errors
    ///
    /// [`Entity::Challenge`](crate::Entity::Challenge) is not found;
    /// [`Error::Challenge`](crate::Error::Challenge) when the state does not allow it;
    /// [`Conflict::AttemptInProgress`](crate::Conflict::AttemptInProgress), whose end
    /// [`attempt`](Self::attempt) tells.
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
    /// A palm that was enrolled is no longer due for erasure.
    ///
    /// When the challenge ended meanwhile, the refusal is the answer, and still what happened at the
    /// palm server is noted, without an event: the attempt is finished, a decided sample stays
    /// decided, and a palm that was or may have been enrolled is due for erasure, unless the user has
    /// it enrolled.
    ///
    /// Events: `verification_complete`, `palm_enrolled`; `verification_failed`, whose `attempt` is
    /// how many tries are used, and `palm_enrollment_failed`, each with the vendor's reason;
    /// `palm_duplicate_detected` before either event of an enrolment whose palm is another user's too
    /// ([`AttemptVerdict::duplicate_of`]), with that user's id of ours; `user_locked`. In the platform's chain: `palm_vendor_unauthorized` and an `ops_alert` of kind
    /// `vendor_unauthorized` when the vendor refused the platform; an `ops_alert` of kind
    /// `license_capacity`.
    ///
    /// # Errors
    ///
    /// [`Entity::Challenge`](crate::Entity::Challenge) is not found;
    /// [`Conflict::AttemptEnded`](crate::Conflict::AttemptEnded) when the lease was finished or
    /// passed on, or is that of an enrolment and ran out: its palm may have been erased since; and when
    /// the sample was decided on elsewhere, once the lease had run out;
    /// [`Error::Challenge`](crate::Error::Challenge) when the challenge ended meanwhile,
    /// or asks for another kind of outcome: then nothing is noted.
    async fn finish_attempt(
        &self,
        change: Change,
        lease: AttemptLease,
        verdict: AttemptVerdict,
    ) -> Result<StoredVerdict>;

    /// How attempt `number` at a challenge stands, or, if nobody finished it, the one that took its
    /// place; `None` when there was none. What it did to the challenge was committed with it.
    async fn attempt(
        &self,
        tenant_id: &TenantId,
        challenge_id: &ChallengeId,
        number: u32,
    ) -> Result<Option<AttemptStanding>>;

    /// Moves at most `limit` open challenges that are overdue at `change.at` to `expired`, and
    /// returns them, those overdue longest first. Of all tenants. Event: `challenge_expired` for
    /// each, in its tenant's chain.
    async fn expire_challenges(&self, change: Change, limit: u32) -> Result<Vec<StoredChallenge>>;
}
