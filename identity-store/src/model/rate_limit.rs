use std::num::NonZeroU32;

use time::{Duration, OffsetDateTime};

/// How often something may be done: a token bucket that holds `burst`, refilled evenly over
/// `period`.
///
/// All there is to know of a bucket is when it will be full again (the generic cell rate algorithm's
/// theoretical arrival time): whoever takes out of it puts that moment off.
///
/// ```
/// use std::num::NonZeroU32;
/// use identity_store::RateLimit;
/// use time::{Duration, OffsetDateTime};
///
/// let now = OffsetDateTime::UNIX_EPOCH;
/// let limit = RateLimit::new(NonZeroU32::MIN.saturating_add(1), Duration::MINUTE);
/// let first = limit.take(None, now)?;
/// let second = limit.take(Some(first), now)?;
/// assert_eq!(limit.take(Some(second), now), Err(std::time::Duration::from_secs(30)));
/// # Ok::<(), std::time::Duration>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    burst: NonZeroU32,
    period: Duration,
}

/// Whose bucket of which limit it is: a digest of both, so that the store sees no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketKey(pub [u8; 32]);

/// What came of taking out of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateDecision {
    /// There was something in it.
    Within {
        /// When it will be full again, after this.
        full_at: OffsetDateTime,
    },
    /// It was empty, and was left as it is.
    Beyond {
        /// When it will be full again.
        full_at: OffsetDateTime,
    },
}

impl RateLimit {
    /// `burst` at once, and as many within each `period`, which is at least a millisecond for each.
    #[must_use]
    pub const fn new(burst: NonZeroU32, period: Duration) -> Self {
        Self { burst, period }
    }

    /// Takes one out of a bucket that will be full again at `full_at` (`None`: it is full); returns
    /// when it will be after that.
    ///
    /// # Errors
    ///
    /// How long to wait until there is something in it.
    pub fn take(
        self,
        full_at: Option<OffsetDateTime>,
        now: OffsetDateTime,
    ) -> Result<OffsetDateTime, std::time::Duration> {
        let next = self.pending(full_at, now) + self.refill();
        match (next - now - self.period).try_into() {
            Ok(wait) if wait > std::time::Duration::ZERO => Err(wait),
            // A negative time is none to wait.
            Ok(_) | Err(_) => Ok(next),
        }
    }

    /// Takes one out of a bucket even if it is empty; returns when it will be full again. Nobody is
    /// put off by more than one period for that.
    #[must_use]
    pub fn charge(self, full_at: Option<OffsetDateTime>, now: OffsetDateTime) -> OffsetDateTime {
        (self.pending(full_at, now) + self.refill()).min(self.horizon(now))
    }

    /// When the bucket will be full again, not before now.
    fn pending(self, full_at: Option<OffsetDateTime>, now: OffsetDateTime) -> OffsetDateTime {
        full_at
            .filter(|full_at| (now..=self.horizon(now)).contains(full_at))
            .unwrap_or(now)
    }

    /// How long one takes to come back, in whole milliseconds as stored moments are.
    pub(crate) fn refill(self) -> Duration {
        let share = self.period / self.burst.get();
        let whole = Duration::milliseconds(share.subsec_milliseconds().into());
        (Duration::seconds(share.whole_seconds()) + whole).max(Duration::MILLISECOND)
    }

    /// The latest moment at which a bucket may be full again for one more to be taken out of it.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn last_room(self, now: OffsetDateTime) -> OffsetDateTime {
        now + self.period - self.refill()
    }

    /// No bucket is full later than this. One that seems to be was taken out of before the clock was
    /// set back, and counts as full.
    pub(crate) fn horizon(self, now: OffsetDateTime) -> OffsetDateTime {
        now + self.period + self.period
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn limit(burst: u32, period: Duration) -> RateLimit {
        RateLimit::new(NonZeroU32::new(burst).unwrap(), period)
    }

    fn seconds(seconds: u64) -> std::time::Duration {
        std::time::Duration::from_secs(seconds)
    }

    #[test]
    fn a_burst_is_allowed_and_refilled_evenly() {
        let limit = limit(3, Duration::MINUTE);
        let mut full_at = None;
        for _ in 0..3 {
            full_at = Some(limit.take(full_at, NOW).unwrap());
        }
        assert_eq!(limit.take(full_at, NOW), Err(seconds(20)));
        let later = NOW + seconds(20);
        let full_at = limit.take(full_at, later).unwrap();
        assert_eq!(limit.take(Some(full_at), later), Err(seconds(20)));
    }

    #[test]
    fn what_was_admitted_together_is_waited_for_one_period_at_most() {
        let limit = limit(5, Duration::minutes(5));
        let mut full_at = None;
        for _ in 0..100 {
            full_at = Some(limit.charge(full_at, NOW));
        }
        assert_eq!(full_at, Some(NOW + Duration::minutes(10)));
        let minutes = |minutes| NOW + Duration::minutes(minutes);
        assert!(limit.take(full_at, minutes(5)).is_err());
        assert!(limit.take(full_at, minutes(6)).is_ok());
    }

    #[test]
    fn a_bucket_is_full_again_after_the_clock_was_set_back() {
        let limit = limit(1, Duration::MINUTE);
        let full_at = limit.take(None, NOW + Duration::HOUR).unwrap();
        assert_eq!(limit.take(Some(full_at), NOW), Ok(NOW + Duration::MINUTE));
        assert_eq!(limit.charge(Some(full_at), NOW), NOW + Duration::MINUTE);
    }
}
