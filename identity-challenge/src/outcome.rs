use std::time::Duration;

use crate::{Scores, StatusReason};

/// What one palm sample led to.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The sample of a verification was decided on.
    Verify(VerifyOutcome),
    /// The sample of an enrolment was decided on.
    Enroll(EnrollOutcome),
    /// The sample was not decided on.
    Undecided(Undecided),
}

/// What a verification's sample showed; see [`PalmPolicy::verify`](crate::PalmPolicy::verify).
#[derive(Debug, Clone, PartialEq)]
pub enum VerifyOutcome {
    /// The expected user's palm.
    Match {
        /// The palm server's scores.
        scores: Scores,
    },
    /// The expected user is the best candidate, but does not pass.
    LowConfidence {
        /// The palm server's scores.
        scores: Scores,
    },
    /// Another user passes. Device and integrator never learn which: the id is for the audit row.
    IdentityMismatch {
        /// The user whose palm it was.
        matched_user: String,
        /// The palm server's scores.
        scores: Scores,
    },
    /// Nobody passes.
    NotFound,
    /// The palm server has locked the palm type for the user (code 30008).
    QueryTypeRestricted,
}

/// What the palm server answered to an enrolment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnrollOutcome {
    /// The palm is enrolled.
    Added {
        /// The palm server's number of the template.
        palm_id: i64,
    },
    /// The palm is registered under another user (code 30007).
    DuplicateBiometrics,
    /// The user has a palm of this type already (code 30005).
    AlreadyEnrolled,
    /// The palm server takes no more templates (code 30002).
    LicenseCapacity,
    /// The palm server has locked the palm type for the user (code 30008).
    QueryTypeRestricted,
}

impl EnrollOutcome {
    /// The reason that the challenge ends with: an enrolment is decided at its first answer.
    #[must_use]
    pub const fn status_reason(self) -> StatusReason {
        match self {
            Self::Added { .. } => StatusReason::Enrolled,
            Self::DuplicateBiometrics => StatusReason::DuplicateBiometrics,
            Self::AlreadyEnrolled => StatusReason::AlreadyEnrolled,
            Self::LicenseCapacity => StatusReason::LicenseCapacity,
            Self::QueryTypeRestricted => StatusReason::QueryTypeRestricted,
        }
    }
}

/// Why a sample was not decided on. No try is consumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undecided {
    /// The palm server was silent, answered garbage, or named an error of its own.
    ServiceUnavailable {
        /// When the device should send the sample again.
        retry_after: Duration,
    },
    /// The user has failed too often lately; see [`UserThrottle`](crate::UserThrottle).
    Throttled {
        /// When the next try is allowed.
        retry_after: Duration,
    },
    /// Byte for byte a sample that was decided on before.
    CaptureReplayed,
}
