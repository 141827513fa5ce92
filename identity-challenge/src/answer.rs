use std::time::Duration;

use time::OffsetDateTime;

use crate::name::named;
use crate::{
    Challenge, ChallengeKind, ChallengeStatus, EnrollOutcome, Outcome, Refusal, Scores,
    StatusReason, Undecided, VerifyOutcome,
};

/// What a sample did: the challenge to store and the words for the device.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The challenge after the sample.
    pub challenge: Challenge,
    /// What the device is told, always with HTTP status 200.
    pub answer: Answer,
}

/// The body of a completion, by the table of contract §8.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// `status: "completed"`: the palm was the expected user's.
    Completed {
        /// The palm server's scores.
        scores: Scores,
    },
    /// `status: "enrolled"`: the palm is the user's from now on.
    Enrolled {
        /// The palm server's number of the template.
        palm_id: i64,
    },
    /// `status: "failed"`.
    Failed(FailedAnswer),
}

impl Answer {
    /// Why the sample did not lead to the goal; `None` when it did.
    #[must_use]
    pub const fn reason_code(&self) -> Option<ReasonCode> {
        match self {
            Self::Completed { .. } | Self::Enrolled { .. } => None,
            Self::Failed(failed) => Some(failed.reason_code),
        }
    }
}

/// A sample that did not lead to the goal. Members that are `None` are left out of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedAnswer {
    /// Whether the device may go on.
    pub challenge_status: ChallengeStatus,
    /// Why, for programs.
    pub reason_code: ReasonCode,
    /// Tries left, where the answer is about tries.
    pub attempts_remaining: Option<u8>,
    /// When to come again, where time is what is missing.
    pub retry_after: Option<Duration>,
}

impl FailedAnswer {
    /// Why, for people. Two causes that are none of the device's business share their text.
    #[must_use]
    pub const fn reason(&self) -> Option<&'static str> {
        self.reason_code.reason()
    }
}

named! {
    /// `reason_code` of a failed answer (contract §8).
    pub enum ReasonCode ("reason code") {
        /// Nobody's palm.
        NotFound = "not_found",
        /// Perhaps the user's palm.
        LowConfidence = "low_confidence",
        /// Another user's palm.
        IdentityMismatch = "identity_mismatch",
        /// A sample that was decided on before.
        CaptureReplayed = "capture_replayed",
        /// The last try was used.
        MaxAttempts = "max_attempts",
        /// The palm is registered under another user.
        DuplicateBiometrics = "duplicate_biometrics",
        /// The user has a palm of this type already.
        AlreadyEnrolled = "already_enrolled",
        /// The palm server takes no more templates.
        LicenseCapacity = "license_capacity",
        /// The palm server has locked this palm type for the user.
        QueryTypeRestricted = "query_type_restricted",
        /// The palm server is silent, or talks nonsense.
        ServiceUnavailable = "service_unavailable",
        /// The user has to wait.
        Throttled = "throttled",
    }
}

impl ReasonCode {
    /// The contract's words for people; `throttled` has none.
    #[must_use]
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::NotFound => Some("Palm not recognized"),
            Self::LowConfidence => Some("Low confidence"),
            Self::IdentityMismatch => Some("Identity mismatch"),
            Self::CaptureReplayed => Some("Capture replayed"),
            Self::MaxAttempts => Some("Max attempts exceeded"),
            Self::DuplicateBiometrics => Some("Biometrics already registered"),
            Self::AlreadyEnrolled => Some("Already enrolled"),
            Self::LicenseCapacity | Self::ServiceUnavailable => Some("Service unavailable"),
            Self::QueryTypeRestricted => Some("Palm verification disabled for this user"),
            Self::Throttled => None,
        }
    }
}

impl Challenge {
    /// Takes the outcome of one sample: the next challenge, and what the device is told.
    ///
    /// A refusal leaves nothing to store. One case needs more than that: an enrolment that the palm
    /// server carried out while the challenge expired is a template without an owner, which the
    /// caller has to take back.
    ///
    /// # Errors
    ///
    /// [`Refusal::Terminal`] or [`Refusal::Expired`] when the challenge is over,
    /// [`Refusal::OtherKind`] when the outcome is not one of its kind.
    pub fn complete(&self, outcome: &Outcome, now: OffsetDateTime) -> Result<Completion, Refusal> {
        self.ensure_open(now)?;
        match (outcome, self.kind) {
            (Outcome::Verify(outcome), ChallengeKind::Verify) => self.verified(outcome, now),
            (Outcome::Enroll(outcome), ChallengeKind::Enroll { .. }) => {
                self.enrolled(*outcome, now)
            }
            (
                Outcome::Undecided(undecided),
                ChallengeKind::Verify | ChallengeKind::Enroll { .. },
            ) => self.undecided(*undecided, now),
            (Outcome::Verify(_), ChallengeKind::Enroll { .. })
            | (Outcome::Enroll(_), ChallengeKind::Verify) => {
                Err(Refusal::OtherKind { kind: self.kind })
            }
        }
    }

    fn verified(
        &self,
        outcome: &VerifyOutcome,
        now: OffsetDateTime,
    ) -> Result<Completion, Refusal> {
        match outcome {
            VerifyOutcome::Match { scores } => Ok(Completion {
                challenge: self.end(StatusReason::Matched, self.attempts, now)?,
                answer: Answer::Completed { scores: *scores },
            }),
            VerifyOutcome::NotFound => self.failed_try(ReasonCode::NotFound, now),
            VerifyOutcome::LowConfidence { .. } => self.failed_try(ReasonCode::LowConfidence, now),
            VerifyOutcome::IdentityMismatch { .. } => {
                self.failed_try(ReasonCode::IdentityMismatch, now)
            }
            VerifyOutcome::QueryTypeRestricted => self.refused(
                StatusReason::QueryTypeRestricted,
                ReasonCode::QueryTypeRestricted,
                now,
            ),
        }
    }

    fn enrolled(&self, outcome: EnrollOutcome, now: OffsetDateTime) -> Result<Completion, Refusal> {
        let reason = outcome.status_reason();
        let reason_code = match outcome {
            EnrollOutcome::Added { palm_id } => {
                return Ok(Completion {
                    challenge: self.end(reason, self.attempts, now)?,
                    answer: Answer::Enrolled { palm_id },
                });
            }
            EnrollOutcome::DuplicateBiometrics => ReasonCode::DuplicateBiometrics,
            EnrollOutcome::AlreadyEnrolled => ReasonCode::AlreadyEnrolled,
            EnrollOutcome::LicenseCapacity => ReasonCode::LicenseCapacity,
            EnrollOutcome::QueryTypeRestricted => ReasonCode::QueryTypeRestricted,
        };
        self.refused(reason, reason_code, now)
    }

    /// A failed try: the last one ends the challenge and hides what was wrong with it.
    fn failed_try(&self, code: ReasonCode, now: OffsetDateTime) -> Result<Completion, Refusal> {
        let attempts = self.attempts.after_failed_try();
        let (challenge, reason_code) = if attempts.remaining() == 0 {
            let challenge = self.end(StatusReason::MaxAttempts, attempts, now)?;
            (challenge, ReasonCode::MaxAttempts)
        } else {
            (self.keep_open(attempts, now)?, code)
        };
        Ok(failed(
            challenge,
            reason_code,
            Some(attempts.remaining()),
            None,
        ))
    }

    fn refused(
        &self,
        reason: StatusReason,
        code: ReasonCode,
        now: OffsetDateTime,
    ) -> Result<Completion, Refusal> {
        let challenge = self.end(reason, self.attempts, now)?;
        Ok(failed(challenge, code, None, None))
    }

    fn undecided(&self, undecided: Undecided, now: OffsetDateTime) -> Result<Completion, Refusal> {
        let challenge = self.keep_open(self.attempts, now)?;
        Ok(match undecided {
            Undecided::ServiceUnavailable { retry_after } => failed(
                challenge,
                ReasonCode::ServiceUnavailable,
                None,
                Some(retry_after),
            ),
            Undecided::Throttled { retry_after } => {
                failed(challenge, ReasonCode::Throttled, None, Some(retry_after))
            }
            Undecided::CaptureReplayed => failed(
                challenge,
                ReasonCode::CaptureReplayed,
                Some(challenge.attempts.remaining()),
                None,
            ),
        })
    }
}

fn failed(
    challenge: Challenge,
    reason_code: ReasonCode,
    attempts_remaining: Option<u8>,
    retry_after: Option<Duration>,
) -> Completion {
    Completion {
        challenge,
        answer: Answer::Failed(FailedAnswer {
            challenge_status: challenge.status(),
            reason_code,
            attempts_remaining,
            retry_after,
        }),
    }
}
