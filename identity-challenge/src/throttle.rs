use time::{Duration, OffsetDateTime};

use crate::VerifyOutcome;

/// Failed tries of one user in a row, over all devices (NIST SP 800-63B-4, contract §8).
///
/// ```
/// use identity_challenge::{ThrottleDecision, UserThrottle, VerifyOutcome};
/// use time::{Duration, OffsetDateTime};
///
/// let now = OffsetDateTime::UNIX_EPOCH;
/// let mut user = UserThrottle::default();
/// for _ in 0..5 {
///     assert_eq!(user.decide(now), ThrottleDecision::Allowed);
///     user = user.after(&VerifyOutcome::NotFound, now);
/// }
/// let until = now + Duration::seconds(30);
/// assert_eq!(user.decide(now), ThrottleDecision::Wait { until });
/// assert_eq!(user.decide(until), ThrottleDecision::Allowed);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UserThrottle {
    last_failure: Option<LastFailure>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LastFailure {
    in_a_row: u32,
    at: OffsetDateTime,
}

/// Whether a user may try now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThrottleDecision {
    /// Yes.
    Allowed,
    /// Not before `until`.
    Wait {
        /// The first moment of the next try.
        until: OffsetDateTime,
    },
    /// Not before an operator clears the lock.
    Locked,
}

impl UserThrottle {
    /// From this many failures in a row, tries are [`DELAY`](Self::DELAY) apart.
    pub const DELAY_FROM: u32 = 5;
    /// The least time between tries then.
    pub const DELAY: Duration = Duration::seconds(30);
    /// At this many failures in a row the user is locked.
    pub const LOCK_AT: u32 = 50;

    /// The stored counters: failures in a row, and when the last one was. Without a time there was
    /// no failure.
    #[must_use]
    pub fn stored(consecutive_failures: u32, last_failure_at: Option<OffsetDateTime>) -> Self {
        Self {
            last_failure: last_failure_at
                .filter(|_| consecutive_failures > 0)
                .map(|at| LastFailure {
                    in_a_row: consecutive_failures,
                    at,
                }),
        }
    }

    /// Failures since the last match.
    #[must_use]
    pub fn consecutive_failures(&self) -> u32 {
        self.last_failure.map_or(0, |last| last.in_a_row)
    }

    /// When the last of them was.
    #[must_use]
    pub fn last_failure_at(&self) -> Option<OffsetDateTime> {
        self.last_failure.map(|last| last.at)
    }

    /// Whether the user may try now.
    #[must_use]
    pub fn decide(&self, now: OffsetDateTime) -> ThrottleDecision {
        match self.last_failure {
            Some(last) if last.in_a_row >= Self::LOCK_AT => ThrottleDecision::Locked,
            Some(last) if last.in_a_row >= Self::DELAY_FROM => {
                let until = last.at.saturating_add(Self::DELAY);
                if now < until {
                    ThrottleDecision::Wait { until }
                } else {
                    ThrottleDecision::Allowed
                }
            }
            Some(_) | None => ThrottleDecision::Allowed,
        }
    }

    /// Whether the user may try now beside `under_way` tries that are being decided. Each may become a
    /// failure, so that no more are let go at once than one after the other.
    #[must_use]
    pub fn decide_beside(&self, under_way: u32, now: OffsetDateTime) -> ThrottleDecision {
        let failures = self.consecutive_failures().saturating_add(under_way);
        match self.decide(now) {
            ThrottleDecision::Allowed if under_way > 0 && failures >= Self::DELAY_FROM => {
                let until = now.saturating_add(Self::DELAY);
                ThrottleDecision::Wait { until }
            }
            decision @ (ThrottleDecision::Allowed
            | ThrottleDecision::Wait { .. }
            | ThrottleDecision::Locked) => decision,
        }
    }

    /// The counters after a verification's sample was decided on.
    #[must_use]
    pub fn after(&self, outcome: &VerifyOutcome, now: OffsetDateTime) -> Self {
        match outcome {
            VerifyOutcome::Match { .. } => Self::default(),
            VerifyOutcome::NotFound
            | VerifyOutcome::LowConfidence { .. }
            | VerifyOutcome::IdentityMismatch { .. } => Self {
                last_failure: Some(LastFailure {
                    in_a_row: self.consecutive_failures().saturating_add(1),
                    at: now,
                }),
            },
            VerifyOutcome::QueryTypeRestricted => *self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scores;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    #[test]
    fn the_fiftieth_failure_locks_and_time_does_not_unlock() {
        let decision =
            |failures| UserThrottle::stored(failures, Some(NOW)).decide(NOW + Duration::days(365));
        assert_eq!(decision(49), ThrottleDecision::Allowed);
        assert_eq!(decision(50), ThrottleDecision::Locked);
        assert_eq!(decision(u32::MAX), ThrottleDecision::Locked);
    }

    #[test]
    fn the_fifth_failure_asks_for_thirty_seconds() {
        let last_moment = NOW + Duration::seconds(30) - Duration::NANOSECOND;
        let decision = |failures| UserThrottle::stored(failures, Some(NOW)).decide(last_moment);
        assert_eq!(decision(4), ThrottleDecision::Allowed);
        assert_eq!(
            decision(5),
            ThrottleDecision::Wait {
                until: NOW + Duration::seconds(30)
            }
        );
    }

    #[test]
    fn tries_under_way_count_as_failures_that_may_come() {
        let later = NOW + Duration::minutes(1);
        let wait = ThrottleDecision::Wait {
            until: later + Duration::seconds(30),
        };
        for (failures, under_way, decision) in [
            (0, 4, ThrottleDecision::Allowed),
            (0, 5, wait),
            (4, 0, ThrottleDecision::Allowed),
            (4, 1, wait),
            (5, 0, ThrottleDecision::Allowed),
            (5, 1, wait),
            // Nobody is locked for what may come.
            (49, 1, wait),
            (50, 1, ThrottleDecision::Locked),
            (u32::MAX, u32::MAX, ThrottleDecision::Locked),
        ] {
            let throttle = UserThrottle::stored(failures, Some(NOW));
            let decided = throttle.decide_beside(under_way, later);
            assert_eq!(decided, decision, "{failures} and {under_way}");
        }
    }

    #[test]
    fn a_match_starts_the_count_again_and_a_vendor_lock_leaves_it() {
        let failed = UserThrottle::stored(7, Some(NOW));
        let scores = Scores::parse(&[1.0; 4]).unwrap();
        assert_eq!(
            failed.after(&VerifyOutcome::Match { scores }, NOW),
            UserThrottle::default()
        );
        assert_eq!(
            failed.after(&VerifyOutcome::QueryTypeRestricted, NOW),
            failed
        );
        assert_eq!(
            failed
                .after(&VerifyOutcome::LowConfidence { scores }, NOW)
                .consecutive_failures(),
            8
        );
    }
}
