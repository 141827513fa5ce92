use time::OffsetDateTime;

use crate::machine::State;
use crate::{
    Attempts, Challenge, ChallengeKind, ChallengeStatus, Error, MaxAttempts, PalmType, StatusReason,
};

/// A challenge as columns: what a store writes, and what it must read back.
///
/// [`Challenge::record`] makes one; turning one into a [`Challenge`] checks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ChallengeRecord {
    /// `verify`, or `enroll` with its palm type.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub kind: ChallengeKind,
    /// The status when the row was written.
    pub status: ChallengeStatus,
    /// Why it ended; with a terminal status and only with one.
    pub status_reason: Option<StatusReason>,
    /// Failed tries.
    pub attempts_used: u8,
    /// How many there may be.
    pub max_attempts: u8,
    /// When it was created.
    #[cfg_attr(feature = "serde", serde(with = "time::serde::rfc3339"))]
    pub created_at: OffsetDateTime,
    /// When it is over.
    #[cfg_attr(feature = "serde", serde(with = "time::serde::rfc3339"))]
    pub expires_at: OffsetDateTime,
    /// When it ended; with a terminal status and only with one.
    #[cfg_attr(feature = "serde", serde(with = "time::serde::rfc3339::option"))]
    pub completed_at: Option<OffsetDateTime>,
}

/// What makes a stored challenge one that the machine cannot have written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordRule {
    /// Status, reason and end do not belong together.
    #[error("status {status} with reason {reason:?} and completed_at {completed_at:?}")]
    Status {
        /// The stored status.
        status: ChallengeStatus,
        /// The stored reason.
        reason: Option<StatusReason>,
        /// The stored end.
        completed_at: Option<OffsetDateTime>,
    },
    /// More tries used than there were, or a number that does not fit the status.
    #[error("{used} of {max} tries used in status {status}")]
    Attempts {
        /// Tries used.
        used: u8,
        /// Tries allowed.
        max: u8,
        /// The stored status.
        status: ChallengeStatus,
    },
    /// A palm type without an enrolment, or an enrolment without one.
    #[error("palm type {palm_type:?} with type {kind:?}")]
    PalmType {
        /// The stored palm type.
        palm_type: Option<PalmType>,
        /// Whether it is an enrolment.
        kind: &'static str,
    },
    /// It is over before it began.
    #[error("created at {created_at} and over at {expires_at}")]
    Lifetime {
        /// The stored beginning.
        created_at: OffsetDateTime,
        /// The stored end of its life.
        expires_at: OffsetDateTime,
    },
}

impl ChallengeKind {
    /// Reads the columns `type` and `palm_type`.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownName`] for another type, [`Error::Record`] where the palm type does not
    /// belong to it.
    pub fn stored(kind: &str, palm_type: Option<PalmType>) -> Result<Self, Error> {
        let mismatch = |kind| Err(Error::Record(RecordRule::PalmType { palm_type, kind }));
        match (kind, palm_type) {
            ("verify", None) => Ok(Self::Verify),
            ("enroll", Some(palm_type)) => Ok(Self::Enroll { palm_type }),
            ("verify", Some(_)) => mismatch("verify"),
            ("enroll", None) => mismatch("enroll"),
            (other, _) => Err(Error::unknown_name("challenge type", other)),
        }
    }

    /// The palm type of an enrolment.
    #[must_use]
    pub const fn palm_type(self) -> Option<PalmType> {
        match self {
            Self::Verify => None,
            Self::Enroll { palm_type } => Some(palm_type),
        }
    }
}

impl Challenge {
    /// The challenge as columns.
    #[must_use]
    pub const fn record(&self) -> ChallengeRecord {
        ChallengeRecord {
            kind: self.kind,
            status: self.status(),
            status_reason: self.status_reason(),
            attempts_used: self.attempts.used(),
            max_attempts: self.attempts.max().get(),
            created_at: self.created_at,
            expires_at: self.expires_at,
            completed_at: self.completed_at(),
        }
    }
}

impl TryFrom<ChallengeRecord> for Challenge {
    type Error = Error;

    fn try_from(record: ChallengeRecord) -> Result<Self, Error> {
        let max = MaxAttempts::new(record.max_attempts.into())?;
        if record.expires_at <= record.created_at {
            return Err(Error::Record(RecordRule::Lifetime {
                created_at: record.created_at,
                expires_at: record.expires_at,
            }));
        }
        let state = stored_state(&record).ok_or(Error::Record(RecordRule::Status {
            status: record.status,
            reason: record.status_reason,
            completed_at: record.completed_at,
        }))?;
        let attempts = Attempts::stored(record.attempts_used, max)
            .filter(|attempts| attempts_fit(*attempts, state))
            .ok_or(Error::Record(RecordRule::Attempts {
                used: record.attempts_used,
                max: record.max_attempts,
                status: record.status,
            }))?;
        Ok(Self {
            kind: record.kind,
            state,
            attempts,
            created_at: record.created_at,
            expires_at: record.expires_at,
        })
    }
}

impl From<Challenge> for ChallengeRecord {
    fn from(challenge: Challenge) -> Self {
        challenge.record()
    }
}

fn stored_state(record: &ChallengeRecord) -> Option<State> {
    match (record.status_reason, record.completed_at) {
        (None, None) => match record.status {
            ChallengeStatus::Pending => Some(State::Pending),
            ChallengeStatus::InProgress => Some(State::InProgress),
            ChallengeStatus::Completed
            | ChallengeStatus::Failed
            | ChallengeStatus::Denied
            | ChallengeStatus::Canceled
            | ChallengeStatus::Expired => None,
        },
        (Some(reason), Some(at)) => {
            (reason.status() == record.status).then_some(State::Ended { reason, at })
        }
        (Some(_), None) | (None, Some(_)) => None,
    }
}

/// No try was used before the claim, and the last one ends the challenge for that reason.
fn attempts_fit(attempts: Attempts, state: State) -> bool {
    let used_up = attempts.remaining() == 0;
    match state {
        State::Pending => attempts.used() == 0,
        State::InProgress => !used_up,
        State::Ended { reason, .. } => used_up == (reason == StatusReason::MaxAttempts),
    }
}
