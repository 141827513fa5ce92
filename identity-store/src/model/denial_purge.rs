//! How far the denylist is purged, which no clock decides alone.

use time::{Duration, OffsetDateTime};

/// How long a denial stays behind the `not_after` of its certificate: the day for which it is promised
/// to, and a week in which a clock may be wrong.
pub const PURGE_MARGIN: Duration = Duration::days(8);

/// A turn of the purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DenialPurge {
    /// How far it has come; kept for the next turn.
    pub(crate) place: OffsetDateTime,
    /// Denials of certificates that expired before this may go.
    pub(crate) before: OffsetDateTime,
}

impl DenialPurge {
    /// The turn behind one that came to `place`, if there was one: at most `step` further, and not
    /// back, so that a clock that was ahead leaves it where time catches up with it. While nothing is
    /// denied there is nothing to lose by going back. Where it starts, time has come no further for
    /// sure than to `first_denied`, when what was denied first was.
    pub(crate) fn turn(
        place: Option<OffsetDateTime>,
        first_denied: Option<OffsetDateTime>,
        now: OffsetDateTime,
        step: Duration,
    ) -> Self {
        let aim = now.saturating_sub(PURGE_MARGIN);
        let place = match (place, first_denied) {
            (None, None) => aim,
            (None, Some(denied)) => aim.min(denied.saturating_sub(PURGE_MARGIN)),
            (Some(place), None) => aim.min(place.saturating_add(step)),
            (Some(place), Some(_)) => aim.min(place.saturating_add(step)).max(place),
        };
        Self {
            place,
            before: place.min(aim),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};
    use time::macros::datetime;

    use super::*;

    const START: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);

    proptest! {
        /// Let's Encrypt's early removals, by random clocks.
        #[test]
        fn a_clock_that_is_wrong_for_less_than_a_week_forgets_nothing_live(
            wrong_at_first in any::<Option<i16>>(),
            clocks in prop::collection::vec(any::<(bool, i16, bool)>(), 1..200),
        ) {
            let turn = Duration::hours(1);
            let mut now = START;
            let off = wrong_at_first.map(|hours| Duration::hours(hours.into()));
            let first_denied = off.map(|_| START);
            let clock = now + off.unwrap_or_default();
            let mut purge = DenialPurge::turn(None, first_denied, clock, Duration::ZERO);
            assert!(purge.before <= now - Duration::DAY, "{purge:?} at {now}");
            let mut wrong = Duration::ZERO;
            for (is_right, hours, is_anything_denied) in clocks {
                now += turn;
                let off = if is_right || wrong + turn > Duration::WEEK {
                    Duration::ZERO
                } else {
                    wrong += turn;
                    Duration::hours(hours.into())
                };
                let place = Some(purge.place);
                let first_denied = is_anything_denied.then_some(START);
                purge = DenialPurge::turn(place, first_denied, now + off, turn * 2);
                assert!(purge.before <= now - Duration::DAY, "{purge:?} at {now}");
            }
        }
    }

    #[test]
    fn what_was_missed_is_made_up_for() {
        let mut purge = DenialPurge::turn(None, None, START, Duration::ZERO);
        let back = START + Duration::days(30);
        for day in 0..31 {
            let now = back + Duration::days(day);
            purge = DenialPurge::turn(Some(purge.place), Some(START), now, Duration::days(2));
        }
        assert_eq!(purge.before, back + Duration::days(30) - PURGE_MARGIN);
    }
}
