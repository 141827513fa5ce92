//! What polling for the answer to an authentication request does: pure, one for every back end.

use identity_challenge::ChallengeStatus;
use time::{Duration, OffsetDateTime};

use crate::{
    AUTH_POLL_INTERVAL, AuthRequestAnswer, ClientId, Event, StoredChallenge, User, UserStatus,
};

/// How much longer it is to wait after each poll that came too soon (CIBA Core 1.0 §11).
const SLOWER_BY: Duration = Duration::seconds(5);

/// So much sooner is not too soon: what a network takes differs from poll to poll.
const JITTER: Duration = Duration::milliseconds(500);

/// How long after the match the token can be fetched at least: a palm that matched in the last second is no
/// less one.
const FETCH_WITHIN: Duration = Duration::MINUTE;

/// The scope of the token.
const OPENID: &str = "openid";

/// How an authentication request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AuthRequest {
    /// How long its client is to wait between polls.
    pub(crate) interval: Duration,
    /// When it polled last.
    pub(crate) polled_at: Option<OffsetDateTime>,
    /// When its one token was given.
    pub(crate) granted_at: Option<OffsetDateTime>,
}

impl AuthRequest {
    /// One that was just made.
    pub(crate) const NEW: Self = Self {
        interval: AUTH_POLL_INTERVAL,
        polled_at: None,
        granted_at: None,
    };

    /// What `client_id` is told that polls at `now`, and how the request stands then. `record` is the
    /// request's challenge, `user` its user unless they are gone.
    pub(crate) fn poll(
        self,
        client_id: &ClientId,
        record: StoredChallenge,
        user: Option<&User>,
        now: OffsetDateTime,
    ) -> (AuthRequestAnswer, Self) {
        if record.client_id.as_ref() != Some(client_id) || self.granted_at.is_some() {
            return (AuthRequestAnswer::Unknown, self);
        }
        let polled = Self {
            polled_at: Some(now),
            ..self
        };
        match record.challenge.status_at(now) {
            ChallengeStatus::Pending | ChallengeStatus::InProgress if self.is_too_soon(now) => {
                let interval = self.interval + SLOWER_BY;
                (AuthRequestAnswer::SlowDown, Self { interval, ..polled })
            }
            ChallengeStatus::Pending | ChallengeStatus::InProgress => {
                (AuthRequestAnswer::Pending, polled)
            }
            ChallengeStatus::Expired => (AuthRequestAnswer::Expired, self),
            ChallengeStatus::Failed | ChallengeStatus::Denied | ChallengeStatus::Canceled => {
                (AuthRequestAnswer::Denied, self)
            }
            ChallengeStatus::Completed if is_too_late(&record, now) => {
                (AuthRequestAnswer::Expired, self)
            }
            ChallengeStatus::Completed => match user.map(|user| user.status) {
                Some(UserStatus::Active) => {
                    let granted = Self {
                        granted_at: Some(now),
                        ..polled
                    };
                    (AuthRequestAnswer::Granted(Box::new(record)), granted)
                }
                Some(UserStatus::Suspended | UserStatus::Locked) | None => {
                    (AuthRequestAnswer::Denied, self)
                }
            },
        }
    }

    /// Clocks of replicas differ, by less than an interval.
    fn is_too_soon(&self, now: OffsetDateTime) -> bool {
        let since = |polled_at: OffsetDateTime| (now - polled_at).abs();
        self.polled_at
            .is_some_and(|polled_at| since(polled_at) + JITTER < self.interval)
    }
}

fn is_too_late(record: &StoredChallenge, now: OffsetDateTime) -> bool {
    let matched_at = record.challenge.completed_at();
    let fetched_by = matched_at.map(|at| at + FETCH_WITHIN);
    fetched_by.is_none_or(|by| by.max(record.challenge.expires_at()) <= now)
}

impl AuthRequestAnswer {
    /// What there is to tell of an answer: the token, which is given with the transaction.
    pub(crate) fn event(&self, client_id: &ClientId) -> Option<Event> {
        match self {
            Self::Granted(record) => Some(Event::TokenIssued {
                client_id: client_id.clone(),
                scope: OPENID.to_owned(),
                challenge_id: Some(record.challenge_id.clone()),
            }),
            Self::Unknown | Self::Pending | Self::SlowDown | Self::Expired | Self::Denied => None,
        }
    }
}
