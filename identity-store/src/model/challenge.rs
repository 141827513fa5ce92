use identity_challenge::{
    Answer, CancelReason, Challenge, ChallengeKind, ChallengeStatus, MaxAttempts, Outcome,
    ReasonCode, Ttl,
};
use identity_pki::{DeviceId, TenantId};
use time::OffsetDateTime;

use crate::{ChallengeId, ClientId, InternalUserId, UserId};

/// A challenge with what belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredChallenge {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its id.
    pub challenge_id: ChallengeId,
    /// Kind, status, attempts and times: what decisions are made on.
    pub challenge: Challenge,
    /// The user who is to be verified or enrolled.
    pub user_id: UserId,
    /// How audit rows know the user.
    pub internal_user_id: InternalUserId,
    /// The device at which it happens.
    pub device_id: DeviceId,
    /// The client that asked for it; `None` when a console user did.
    pub client_id: Option<ClientId>,
    /// What it is for; shown at the device.
    pub context: String,
    /// The integrator's own data; never shown at the device.
    pub metadata: serde_json::Value,
    /// What the device displays.
    pub display: Option<serde_json::Value>,
    /// What ties the two sides together for the user's eyes.
    pub binding_message: Option<String>,
    /// The integrator's own reference.
    pub client_reference: Option<String>,
    /// A random value for the device, base64url.
    pub nonce: String,
    /// The scores of the match.
    pub scores: Option<[f64; 4]>,
    /// The verification receipt.
    pub receipt: Option<String>,
}

/// A challenge to create.
#[derive(Debug, Clone, PartialEq)]
pub struct NewChallenge {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its id.
    pub challenge_id: ChallengeId,
    /// Verification, or enrolment of a palm.
    pub kind: ChallengeKind,
    /// The user.
    pub user_id: UserId,
    /// The device.
    pub device_id: DeviceId,
    /// The client that asks; `None` when a console user does.
    pub client_id: Option<ClientId>,
    /// What it is for.
    pub context: String,
    /// The integrator's own data, at most 4 KiB as JSON.
    pub metadata: serde_json::Value,
    /// What the device displays.
    pub display: Option<serde_json::Value>,
    /// What ties the two sides together.
    pub binding_message: Option<String>,
    /// The integrator's own reference.
    pub client_reference: Option<String>,
    /// A random value for the device.
    pub nonce: String,
    /// How long it is open; `None` takes the tenant's setting.
    pub ttl: Option<Ttl>,
    /// How many tries it allows; `None` takes the tenant's setting.
    pub max_attempts: Option<MaxAttempts>,
}

/// Which challenges to list. Every `None` matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChallengeFilter {
    /// Of this user.
    pub user_id: Option<UserId>,
    /// At this device.
    pub device_id: Option<DeviceId>,
    /// In this state.
    pub status: Option<ChallengeStatus>,
    /// With this reference.
    pub client_reference: Option<String>,
}

/// A step of a challenge that no sample makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChallengeStep {
    /// The device takes it up.
    Claim,
    /// The device turns it down.
    Deny {
        /// Why, in the device's words.
        reason: String,
    },
    /// It is withdrawn.
    Cancel(CancelReason),
}

impl ChallengeStep {
    /// The event that the state machine decides on.
    #[must_use]
    pub fn event(&self) -> identity_challenge::Event {
        match self {
            Self::Claim => identity_challenge::Event::Claim,
            Self::Deny { .. } => identity_challenge::Event::Deny,
            Self::Cancel(reason) => identity_challenge::Event::Cancel(*reason),
        }
    }
}

/// A keyed digest of a sample: what is kept of it, to know it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SampleDigest(pub [u8; 32]);

/// The right to decide one attempt, held until its lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptLease {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The challenge.
    pub challenge_id: ChallengeId,
    /// Which attempt, counted from 1, over all that were started.
    pub number: u32,
    /// The sample.
    pub sample: SampleDigest,
    /// Until when it may be finished.
    pub until: OffsetDateTime,
}

/// What came of starting an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum AttemptStart {
    /// The attempt is the caller's to decide.
    Begun {
        /// The right to decide it.
        lease: AttemptLease,
        /// The challenge, in progress.
        record: Box<StoredChallenge>,
        /// An earlier attempt may have enrolled the palm: ask the palm server before adding.
        reconcile: bool,
    },
    /// The sample was decided on before, or is being decided on, byte for byte.
    Replayed {
        /// The challenge.
        record: Box<StoredChallenge>,
    },
    /// The user has to wait, perhaps for tries under way at other challenges, or is locked.
    Throttled {
        /// The challenge.
        record: Box<StoredChallenge>,
        /// Until when; `None` until an operator clears it.
        until: Option<OffsetDateTime>,
    },
    /// The palm that is to be enrolled is being erased at the palm server: no attempt was started.
    Erasing {
        /// The challenge, in progress.
        record: Box<StoredChallenge>,
        /// Until when at most.
        until: OffsetDateTime,
    },
}

/// What came of an attempt, as the palm server's answer was judged.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptVerdict {
    /// What the sample led to: [`Challenge::complete`] takes it.
    pub outcome: Outcome,
    /// The version of the policy that decided.
    pub policy_version: Option<String>,
    /// The verification receipt of a match.
    pub receipt: Option<String>,
    /// Another user for whom the palm of an enrolment would pass: it was enrolled all the same, or for
    /// that was not.
    pub duplicate_of: Option<UserId>,
    /// The header of the vendor call.
    pub vendor_request_id: Option<String>,
    /// What the attempt leaves in doubt or has to be told to somebody.
    pub vendor: VendorState,
}

/// How the palm server took an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VendorState {
    /// It answered.
    Answered,
    /// It was not asked, or refused the connection: nothing happened there.
    NotReached,
    /// It did not answer to the end: an enrolment may have happened.
    Unknown,
    /// It failed with this code: somebody has to act, and an enrolment may have happened.
    Refused(i64),
    /// It has a template in the palm's place, of an earlier attempt, which the sample does not match.
    InTheWay,
}

/// How an attempt at a challenge stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptStanding {
    /// Nobody has finished it.
    Unfinished {
        /// When its lease ends, or did.
        until: OffsetDateTime,
    },
    /// It is finished.
    Finished {
        /// What the device was told; `None` when the sample led to the goal, or came too late.
        reason_code: Option<ReasonCode>,
        /// How many samples of the challenge the palm server had decided on by then.
        decided: u8,
    },
}

/// What came of finishing an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredVerdict {
    /// The challenge after it.
    pub record: StoredChallenge,
    /// What the device is told.
    pub answer: Answer,
}
