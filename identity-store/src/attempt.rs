//! What creating a challenge asks, and what deciding an attempt does: pure, one for every back end.

use identity_challenge::{
    AdmissionRefusal, AdmissionRules, Answer, Challenge, ChallengeStatus, Consent, DeviceStanding,
    EnrollOutcome, Outcome, PalmType, ReasonCode, Refusal, ThrottleDecision, UserStanding,
    UserThrottle, VerifyOutcome,
};
use time::OffsetDateTime;

use crate::Notice;
use crate::{
    AttemptLease, AttemptVerdict, Chain, ChallengeFacts, ConsentStatus, Device, DeviceStatus,
    Error, Event, InternalUserId, KycStatus, NewChallenge, Palm, Result, StoredChallenge, Subject,
    TenantConfig, User, UserId, UserStatus, VendorState,
};

impl User {
    pub(crate) fn subject(&self) -> Subject {
        Subject {
            user_id: self.user_id.clone(),
            internal_id: self.internal_id.clone(),
        }
    }

    fn standing(&self) -> UserStanding {
        UserStanding {
            suspended: self.status == UserStatus::Suspended,
            throttle: self.throttle,
            enrolled: self.palms.iter().map(|palm| palm.palm_type).collect(),
            allowed: self.palm_policy.allowed_types.clone(),
            verification_enabled: self.palm_policy.verification_enabled,
            kyc_verified: self.kyc.status == KycStatus::Verified,
            consent: match self.consent_status {
                ConsentStatus::None => Consent::NotAsked,
                ConsentStatus::Granted => Consent::Granted,
                ConsentStatus::Withdrawn => Consent::Withdrawn,
            },
        }
    }
}

impl StoredChallenge {
    /// What to tell those who wait for a change of it.
    pub(crate) fn notice(&self) -> Notice {
        Notice::Challenge {
            tenant_id: self.tenant_id.clone(),
            challenge_id: self.challenge_id.clone(),
            device_id: self.device_id.clone(),
        }
    }

    /// What the challenge's events tell of it.
    pub(crate) fn facts(&self) -> ChallengeFacts {
        ChallengeFacts {
            challenge_id: self.challenge_id.clone(),
            kind: self.challenge.kind().as_str(),
            user: Subject {
                user_id: self.user_id.clone(),
                internal_id: self.internal_user_id.clone(),
            },
            device_id: self.device_id.clone(),
            context: self.context.clone(),
            expires_at: self.challenge.expires_at(),
        }
    }

    /// The event of a sample that was decided on before. An enrolment has none: nobody's palm was
    /// refused.
    pub(crate) fn replay_event(&self) -> Option<Event> {
        match self.challenge.kind().palm_type() {
            None => Some(Event::VerificationFailed {
                facts: self.facts(),
                attempt: self.challenge.attempts().used().into(),
                reason: ReasonCode::CaptureReplayed,
                matched_user: None,
                ended: false,
            }),
            Some(_) => None,
        }
    }

    /// The palm that the palm server may hold for nobody once the challenge is as it is now: that of
    /// an enrolment that ended other than enrolled. It does if an attempt is in doubt.
    pub(crate) fn stray_palm(&self) -> Option<PalmType> {
        match self.challenge.status() {
            ChallengeStatus::Pending | ChallengeStatus::InProgress | ChallengeStatus::Completed => {
                None
            }
            ChallengeStatus::Failed
            | ChallengeStatus::Denied
            | ChallengeStatus::Canceled
            | ChallengeStatus::Expired => self.challenge.kind().palm_type(),
        }
    }
}

/// The challenge that `new` asks for, if every gate is open.
pub(crate) fn admit(
    new: NewChallenge,
    user: Option<&User>,
    device: Option<&Device>,
    open_challenges: u32,
    config: &TenantConfig,
    at: OffsetDateTime,
) -> Result<StoredChallenge> {
    let device = device.map(|device| DeviceStanding {
        paired: device.status == DeviceStatus::Paired,
        class: device.binding.class(),
        open_challenges,
    });
    let rules = AdmissionRules {
        kyc_required: config.kyc_required_for_enrollment,
        consent_required: config.consent_required,
        max_open_challenges: config.max_open_challenges_per_device,
    };
    let standing = user.map(User::standing);
    identity_challenge::admit(new.kind, standing.as_ref(), device.as_ref(), &rules, at)
        .map_err(Error::Admission)?;
    let user = user.ok_or(Error::Admission(AdmissionRefusal::UserNotFound))?;
    let max_attempts = new.max_attempts.unwrap_or(config.max_attempts);
    let ttl = new.ttl.unwrap_or(config.challenge_ttl_seconds);
    Ok(StoredChallenge {
        tenant_id: new.tenant_id,
        challenge_id: new.challenge_id,
        challenge: Challenge::open(new.kind, max_attempts, ttl, at),
        user_id: new.user_id,
        internal_user_id: user.internal_id.clone(),
        device_id: new.device_id,
        client_id: new.client_id,
        context: new.context,
        metadata: new.metadata,
        display: new.display,
        binding_message: new.binding_message,
        client_reference: new.client_reference,
        nonce: new.nonce,
        scores: None,
        receipt: None,
    })
}

/// What a decided attempt leaves to write.
#[derive(Debug)]
pub(crate) struct Conclusion {
    /// The challenge after it.
    pub(crate) record: StoredChallenge,
    /// What the device is told.
    pub(crate) answer: Answer,
    /// The user's failed tries after it.
    pub(crate) throttle: UserThrottle,
    /// The palm that was enrolled.
    pub(crate) palm: Option<Palm>,
    /// What happened, each with the chain that tells it.
    pub(crate) events: Vec<(Chain, Event)>,
}

impl AttemptVerdict {
    /// Whether the palm server decided on the sample: then it is never decided on again.
    pub(crate) fn is_decided(&self) -> bool {
        match self.outcome {
            Outcome::Verify(_) | Outcome::Enroll(_) => true,
            Outcome::Undecided(_) => false,
        }
    }

    /// Whether the palm server may have enrolled a palm without our knowing.
    pub(crate) fn may_have_happened(&self) -> bool {
        match self.vendor {
            VendorState::Unknown | VendorState::Refused(_) | VendorState::InTheWay => true,
            VendorState::Answered | VendorState::NotReached => false,
        }
    }

    /// Whether the palm server has a template that has to go before the palm can be enrolled.
    pub(crate) fn is_in_the_way(&self) -> bool {
        match self.vendor {
            VendorState::InTheWay => true,
            VendorState::Answered
            | VendorState::NotReached
            | VendorState::Unknown
            | VendorState::Refused(_) => false,
        }
    }

    /// The palm server's number of a template that it added.
    pub(crate) fn added_palm(&self) -> Option<i64> {
        match self.outcome {
            Outcome::Enroll(EnrollOutcome::Added { palm_id }) => Some(palm_id),
            Outcome::Enroll(
                EnrollOutcome::DuplicateBiometrics
                | EnrollOutcome::AlreadyEnrolled
                | EnrollOutcome::LicenseCapacity
                | EnrollOutcome::QueryTypeRestricted,
            )
            | Outcome::Verify(_)
            | Outcome::Undecided(_) => None,
        }
    }

    /// The integrator's id of the other user whose palm it was, or is too.
    pub(crate) fn other_user(&self) -> Option<UserId> {
        match &self.outcome {
            Outcome::Verify(VerifyOutcome::IdentityMismatch { matched_user, .. }) => {
                matched_user.parse().ok()
            }
            Outcome::Verify(
                VerifyOutcome::Match { .. }
                | VerifyOutcome::LowConfidence { .. }
                | VerifyOutcome::NotFound
                | VerifyOutcome::QueryTypeRestricted,
            )
            | Outcome::Undecided(_) => None,
            Outcome::Enroll(_) => self.duplicate_of.clone(),
        }
    }
}

impl AttemptLease {
    /// Whether a verdict comes too late at `at`. After the lease of an enrolment its palm may be erased,
    /// so that nobody knows any more what became of what it added.
    pub(crate) fn has_lapsed(&self, record: &StoredChallenge, at: OffsetDateTime) -> bool {
        record.challenge.kind().palm_type().is_some() && self.until <= at
    }
}

/// What `verdict` does to the challenge and its user. `matched_user` is the platform's id of
/// [`AttemptVerdict::other_user`].
pub(crate) fn conclude(
    record: &StoredChallenge,
    throttle: UserThrottle,
    matched_user: Option<InternalUserId>,
    verdict: &AttemptVerdict,
    at: OffsetDateTime,
) -> Result<Conclusion, Refusal> {
    let completion = record.challenge.complete(&verdict.outcome, at)?;
    let mut record = StoredChallenge {
        challenge: completion.challenge,
        ..record.clone()
    };
    let mut after = throttle;
    let mut palm = None;
    let mut events = Vec::new();
    let chain = Chain::Tenant(record.tenant_id.clone());
    match &verdict.outcome {
        Outcome::Verify(outcome) => {
            after = throttle.after(outcome, at);
            if let VerifyOutcome::Match { scores } = outcome {
                record.scores = Some(*scores.as_array());
                record.receipt.clone_from(&verdict.receipt);
            }
            let event = verification_event(&record, matched_user, outcome, verdict, at);
            events.push((chain.clone(), event));
        }
        Outcome::Enroll(outcome) => {
            if let Some(palm_type) = record.challenge.kind().palm_type() {
                if verdict.duplicate_of.is_some() {
                    let event = Event::PalmDuplicateDetected {
                        facts: record.facts(),
                        palm_type,
                        matched_user,
                        policy_version: verdict.policy_version.clone(),
                        enrolled: matches!(outcome, EnrollOutcome::Added { .. }),
                    };
                    events.push((chain.clone(), event));
                }
                let (added, event) = enrollment(&record, palm_type, *outcome, at);
                palm = added;
                events.push((chain.clone(), event));
            }
            if *outcome == EnrollOutcome::LicenseCapacity {
                events.push((Chain::Platform, alert("license_capacity")));
            }
        }
        Outcome::Undecided(_) => {}
    }
    if is_locked(after, at) && !is_locked(throttle, at) {
        let user = record.facts().user;
        events.push((chain, Event::UserLocked { user }));
    }
    if let VendorState::Refused(code) = verdict.vendor {
        events.push((Chain::Platform, Event::PalmVendorUnauthorized { code }));
        events.push((Chain::Platform, alert("vendor_unauthorized")));
    }
    Ok(Conclusion {
        record,
        answer: completion.answer,
        throttle: after,
        palm,
        events,
    })
}

fn alert(kind: &'static str) -> Event {
    Event::OpsAlert { kind }
}

fn is_locked(throttle: UserThrottle, at: OffsetDateTime) -> bool {
    throttle.decide(at) == ThrottleDecision::Locked
}

fn verification_event(
    record: &StoredChallenge,
    matched_user: Option<InternalUserId>,
    outcome: &VerifyOutcome,
    verdict: &AttemptVerdict,
    at: OffsetDateTime,
) -> Event {
    let reason = match outcome {
        VerifyOutcome::Match { scores } => {
            return Event::VerificationComplete {
                facts: record.facts(),
                scores: *scores.as_array(),
                policy_version: verdict.policy_version.clone(),
                at,
                metadata: record.metadata.clone(),
                receipt: verdict.receipt.clone(),
            };
        }
        VerifyOutcome::NotFound => ReasonCode::NotFound,
        VerifyOutcome::LowConfidence { .. } => ReasonCode::LowConfidence,
        VerifyOutcome::IdentityMismatch { .. } => ReasonCode::IdentityMismatch,
        VerifyOutcome::QueryTypeRestricted => ReasonCode::QueryTypeRestricted,
    };
    Event::VerificationFailed {
        facts: record.facts(),
        attempt: record.challenge.attempts().used().into(),
        reason,
        matched_user,
        ended: record.challenge.status().is_terminal(),
    }
}

fn enrollment(
    record: &StoredChallenge,
    palm_type: PalmType,
    outcome: EnrollOutcome,
    at: OffsetDateTime,
) -> (Option<Palm>, Event) {
    let reason = match outcome {
        EnrollOutcome::Added { palm_id } => {
            let palm = Palm {
                palm_type,
                palm_id,
                enrolled_at: at,
                device_id: record.device_id.clone(),
            };
            let event = Event::PalmEnrolled {
                facts: record.facts(),
                palm_id,
                palm_type,
                at,
            };
            return (Some(palm), event);
        }
        EnrollOutcome::DuplicateBiometrics => ReasonCode::DuplicateBiometrics,
        EnrollOutcome::AlreadyEnrolled => ReasonCode::AlreadyEnrolled,
        EnrollOutcome::LicenseCapacity => ReasonCode::LicenseCapacity,
        EnrollOutcome::QueryTypeRestricted => ReasonCode::QueryTypeRestricted,
    };
    let event = Event::PalmEnrollmentFailed {
        facts: record.facts(),
        palm_type,
        reason,
    };
    (None, event)
}
