use time::OffsetDateTime;

use crate::{Attempts, CancelReason, ChallengeStatus, MaxAttempts, PalmType, StatusReason, Ttl};

/// What a challenge asks of a palm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(tag = "type", rename_all = "snake_case")
)]
pub enum ChallengeKind {
    /// That it is the expected user's.
    Verify,
    /// That it becomes the user's.
    Enroll {
        /// Which palm.
        palm_type: PalmType,
    },
}

impl ChallengeKind {
    /// `verify` or `enroll`: the member `type` of the challenge object.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Enroll { .. } => "enroll",
        }
    }
}

/// Something that happens to a challenge and is not a palm sample.
///
/// Samples go through [`Challenge::complete`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The device takes the challenge up.
    Claim,
    /// The device turns it down.
    Deny,
    /// It is withdrawn.
    Cancel(CancelReason),
    /// The sweeper finds it overdue.
    Expire,
}

/// Why a challenge refuses to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is over, and terminal states never change.
    #[error("the challenge is {status} already")]
    Terminal {
        /// The terminal status; never `expired`.
        status: ChallengeStatus,
    },
    /// Its time is over, whether or not the stored row says so yet.
    #[error("the challenge expired at {expires_at}")]
    Expired {
        /// When it expired.
        expires_at: OffsetDateTime,
    },
    /// It is to expire before its time.
    #[error("the challenge does not expire before {expires_at}")]
    NotDue {
        /// When it expires.
        expires_at: OffsetDateTime,
    },
    /// The outcome of a verification for an enrolment, or the other way round.
    #[error("the outcome is not one of a challenge of type {}", kind.as_str())]
    OtherKind {
        /// What the challenge asks.
        kind: ChallengeKind,
    },
}

/// One challenge: the value that a store's record embeds and that every decision is made on.
///
/// It is never changed in place; each step gives the next value, to be written if the row is still
/// the one that was read.
///
/// ```
/// use identity_challenge::{Challenge, ChallengeKind, Event, MaxAttempts, Refusal, Ttl};
/// use time::{Duration, OffsetDateTime};
///
/// let now = OffsetDateTime::UNIX_EPOCH;
/// let pending = Challenge::open(ChallengeKind::Verify, MaxAttempts::default(), Ttl::default(), now);
/// let claimed = pending.apply(Event::Claim, now)?;
/// assert_eq!(claimed.status().as_str(), "in_progress");
///
/// // Nobody has swept it, and still it is over.
/// let late = now + Duration::seconds(120);
/// assert_eq!(claimed.status_at(late).as_str(), "expired");
/// assert!(matches!(claimed.apply(Event::Deny, late), Err(Refusal::Expired { .. })));
/// # Ok::<(), Refusal>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "crate::ChallengeRecord", into = "crate::ChallengeRecord")
)]
pub struct Challenge {
    pub(crate) kind: ChallengeKind,
    pub(crate) state: State,
    pub(crate) attempts: Attempts,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) expires_at: OffsetDateTime,
}

/// A status with what belongs to it: an open one has no reason, a terminal one has reason and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Pending,
    InProgress,
    Ended {
        reason: StatusReason,
        at: OffsetDateTime,
    },
}

impl Challenge {
    /// A new pending challenge.
    #[must_use]
    pub fn open(
        kind: ChallengeKind,
        max_attempts: MaxAttempts,
        ttl: Ttl,
        now: OffsetDateTime,
    ) -> Self {
        Self {
            kind,
            state: State::Pending,
            attempts: Attempts::unused(max_attempts),
            created_at: now,
            expires_at: now.saturating_add(ttl.duration()),
        }
    }

    /// What it asks.
    #[must_use]
    pub const fn kind(&self) -> ChallengeKind {
        self.kind
    }

    /// The stored status. What is true now is [`status_at`](Self::status_at).
    #[must_use]
    pub const fn status(&self) -> ChallengeStatus {
        match self.state {
            State::Pending => ChallengeStatus::Pending,
            State::InProgress => ChallengeStatus::InProgress,
            State::Ended { reason, .. } => reason.status(),
        }
    }

    /// The status at `now`: an overdue challenge is expired, whoever has or has not noticed.
    #[must_use]
    pub fn status_at(&self, now: OffsetDateTime) -> ChallengeStatus {
        if self.is_overdue(now) {
            ChallengeStatus::Expired
        } else {
            self.status()
        }
    }

    /// Whether it is open although its time is over: what the sweeper looks for.
    #[must_use]
    pub fn is_overdue(&self, now: OffsetDateTime) -> bool {
        !self.status().is_terminal() && now >= self.expires_at
    }

    /// Why it ended, if it has.
    #[must_use]
    pub const fn status_reason(&self) -> Option<StatusReason> {
        match self.state {
            State::Pending | State::InProgress => None,
            State::Ended { reason, .. } => Some(reason),
        }
    }

    /// Its tries.
    #[must_use]
    pub const fn attempts(&self) -> Attempts {
        self.attempts
    }

    /// When it was created.
    #[must_use]
    pub const fn created_at(&self) -> OffsetDateTime {
        self.created_at
    }

    /// The first moment at which it is over.
    #[must_use]
    pub const fn expires_at(&self) -> OffsetDateTime {
        self.expires_at
    }

    /// When it reached its terminal status, if it has.
    #[must_use]
    pub const fn completed_at(&self) -> Option<OffsetDateTime> {
        match self.state {
            State::Pending | State::InProgress => None,
            State::Ended { at, .. } => Some(at),
        }
    }

    /// The challenge after `event`.
    ///
    /// # Errors
    ///
    /// [`Refusal::Terminal`] or [`Refusal::Expired`] when it is over, [`Refusal::NotDue`] when it
    /// is to expire before its time.
    pub fn apply(&self, event: Event, now: OffsetDateTime) -> Result<Self, Refusal> {
        match event {
            Event::Claim => self.keep_open(self.attempts, now),
            Event::Deny => self.end(StatusReason::DeniedAtDevice, self.attempts, now),
            Event::Cancel(reason) => self.end(reason.into(), self.attempts, now),
            Event::Expire => self.expire(now),
        }
    }

    /// Refuses what is over at `now`.
    ///
    /// # Errors
    ///
    /// [`Refusal::Terminal`] or [`Refusal::Expired`].
    pub fn ensure_open(&self, now: OffsetDateTime) -> Result<(), Refusal> {
        match self.status_at(now) {
            ChallengeStatus::Pending | ChallengeStatus::InProgress => Ok(()),
            ChallengeStatus::Expired => Err(Refusal::Expired {
                expires_at: self.expires_at,
            }),
            status @ (ChallengeStatus::Completed
            | ChallengeStatus::Failed
            | ChallengeStatus::Denied
            | ChallengeStatus::Canceled) => Err(Refusal::Terminal { status }),
        }
    }

    /// In progress after this: a claim, or a sample that left the challenge open, which implies one.
    pub(crate) fn keep_open(
        &self,
        attempts: Attempts,
        now: OffsetDateTime,
    ) -> Result<Self, Refusal> {
        self.ensure_open(now)?;
        Ok(Self {
            state: State::InProgress,
            attempts,
            ..*self
        })
    }

    /// Over after this, from either open state.
    pub(crate) fn end(
        &self,
        reason: StatusReason,
        attempts: Attempts,
        now: OffsetDateTime,
    ) -> Result<Self, Refusal> {
        self.ensure_open(now)?;
        Ok(Self {
            state: State::Ended { reason, at: now },
            attempts,
            ..*self
        })
    }

    fn expire(&self, now: OffsetDateTime) -> Result<Self, Refusal> {
        if self.is_overdue(now) {
            return Ok(Self {
                state: State::Ended {
                    reason: StatusReason::Expired,
                    at: now,
                },
                ..*self
            });
        }
        self.ensure_open(now)?;
        Err(Refusal::NotDue {
            expires_at: self.expires_at,
        })
    }
}
