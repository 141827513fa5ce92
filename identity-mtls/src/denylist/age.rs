use time::{Duration, OffsetDateTime};

use crate::Refusal;

/// How long a denylist may go without news of what other writers denied, and what follows.
///
/// The age of a list is the time since the last read of the authoritative list that was published
/// began: an entry that another writer committed since may be missing. What this process
/// [adds](crate::Denylist::add) itself counts at once, at any age.
///
/// The default refuses, beyond one hour: an attacker who can keep a server from its database, or a
/// job that died unseen, must not bring revoked devices back. Serving instead is for a server with a
/// second look at each request, and for a process that is the only writer.
///
/// ```
/// use identity_mtls::{AgeLimit, Denylist, DenylistSnapshot};
/// use time::ext::NumericalDuration;
/// use time::macros::datetime;
///
/// let denylist = Denylist::with_age_limit(AgeLimit::refuse_beyond(15.minutes()));
/// # let _ = denylist;
///
/// let read = datetime!(2026-11-22 12:00 UTC);
/// let snapshot = DenylistSnapshot::new([], read);
/// assert!(!snapshot.is_stale(read + 1.hours()));
/// assert!(snapshot.is_stale(read + 1.hours() + 1.seconds()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgeLimit {
    longest: Duration,
    beyond: Beyond,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beyond {
    Refuse,
    Serve,
}

impl AgeLimit {
    /// Beyond `longest` every device certificate is refused with
    /// [`Refusal::StaleDenylist`]: the list fails closed.
    ///
    /// A limit is to leave room for several failed reads. Limits below a second make no sense, since
    /// the clock of a TLS handshake has whole seconds.
    #[must_use]
    pub const fn refuse_beyond(longest: Duration) -> Self {
        Self {
            longest,
            beyond: Beyond::Refuse,
        }
    }

    /// Beyond `longest` the list goes on deciding, and only
    /// [`Denylist::is_stale`](crate::Denylist::is_stale) tells, for readiness and metrics.
    #[must_use]
    pub const fn serve_beyond(longest: Duration) -> Self {
        Self {
            longest,
            beyond: Beyond::Serve,
        }
    }

    /// Whether a list as of `as_of` is beyond the limit at `now`.
    ///
    /// A list from further in the future than the limit is stale too: only a clock that was set back
    /// leaves one behind, and its age is unknown.
    pub(super) fn is_exceeded(self, as_of: OffsetDateTime, now: OffsetDateTime) -> bool {
        (now - as_of).abs() > self.longest
    }

    /// Refuses a list as of `as_of` that must not decide at `now`.
    pub(super) fn check(self, as_of: OffsetDateTime, now: OffsetDateTime) -> Result<(), Refusal> {
        match self.beyond {
            Beyond::Refuse if self.is_exceeded(as_of, now) => Err(Refusal::StaleDenylist {
                age: now - as_of,
                limit: self.longest,
            }),
            Beyond::Refuse | Beyond::Serve => Ok(()),
        }
    }
}

impl Default for AgeLimit {
    /// [Refuses](Self::refuse_beyond) beyond one hour.
    fn default() -> Self {
        Self::refuse_beyond(Duration::HOUR)
    }
}
