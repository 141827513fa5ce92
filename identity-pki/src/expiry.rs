//! When somebody has to hear that a certificate of the platform expires, as pure decisions over a
//! schedule of thresholds (seed 002 §9.2.2).

use time::OffsetDateTime;

/// A certificate of the platform whose expiry is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum ExpiryKind {
    /// The server's TLS certificate.
    ServerCert,
    /// The CA that issues device certificates: when it expires, so has every certificate of a device.
    PlatformCa,
}

impl ExpiryKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::ServerCert, Self::PlatformCa];

    /// Its one spelling, in storage and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ServerCert => "server_cert",
            Self::PlatformCa => "platform_ca",
        }
    }

    /// The threshold that is crossed first. A CA has an early one: its rotation takes longer.
    #[must_use]
    pub const fn first(self) -> ExpiryThreshold {
        match self {
            Self::ServerCert => ExpiryThreshold::Days30,
            Self::PlatformCa => ExpiryThreshold::Days60,
        }
    }
}

/// A moment before, or after, the expiry of a certificate at which somebody is told. They are ordered as
/// they are crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExpiryThreshold {
    /// 60 days are left; of a CA alone.
    Days60,
    /// 30 days are left.
    Days30,
    /// 14 days are left.
    Days14,
    /// 7 days are left.
    Days7,
    /// 1 day is left.
    Day1,
    /// It has expired.
    Expired,
}

impl ExpiryThreshold {
    /// Every threshold, in the order in which they are crossed.
    pub const ALL: [Self; 6] = [
        Self::Days60,
        Self::Days30,
        Self::Days14,
        Self::Days7,
        Self::Day1,
        Self::Expired,
    ];

    /// How many days are left; 0 when it has expired.
    #[must_use]
    pub const fn days(self) -> u8 {
        match self {
            Self::Days60 => 60,
            Self::Days30 => 30,
            Self::Days14 => 14,
            Self::Days7 => 7,
            Self::Day1 => 1,
            Self::Expired => 0,
        }
    }

    /// The threshold of so many days.
    #[must_use]
    pub fn from_days(days: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|threshold| threshold.days() == days)
    }

    /// Whether it is time to act at once.
    #[must_use]
    pub const fn is_urgent(self) -> bool {
        match self {
            Self::Day1 | Self::Expired => true,
            Self::Days60 | Self::Days30 | Self::Days14 | Self::Days7 => false,
        }
    }

    /// The threshold that a certificate, valid through `not_after`, has crossed last at `now`; `None` while it
    /// is far from its expiry. It is the one to be told of, unless that was done: of several that were
    /// crossed since somebody looked, the nearest alone.
    ///
    /// ```
    /// use identity_pki::{ExpiryKind, ExpiryThreshold};
    /// use time::{Duration, macros::datetime};
    ///
    /// let not_after = datetime!(2027-03-01 0:00 UTC);
    /// let at = |days| not_after - Duration::days(days);
    /// let crossed = |now| ExpiryThreshold::crossed(ExpiryKind::ServerCert, not_after, now);
    /// assert_eq!(crossed(at(31)), None);
    /// assert_eq!(crossed(at(30)), Some(ExpiryThreshold::Days30));
    /// assert_eq!(crossed(at(29)), Some(ExpiryThreshold::Days30));
    /// assert_eq!(crossed(at(5)), Some(ExpiryThreshold::Days7));
    /// ```
    #[must_use]
    pub fn crossed(
        kind: ExpiryKind,
        not_after: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Option<Self> {
        Self::ALL
            .into_iter()
            .rfind(|threshold| *threshold >= kind.first() && threshold.is_crossed(not_after, now))
    }

    /// Whether a certificate that is valid through `not_after` has crossed it at `now`.
    fn is_crossed(self, not_after: OffsetDateTime, now: OffsetDateTime) -> bool {
        match self {
            Self::Expired => not_after < now,
            Self::Days60 | Self::Days30 | Self::Days14 | Self::Days7 | Self::Day1 => {
                days_remaining(not_after, now) <= i64::from(self.days())
            }
        }
    }
}

/// Whole days from `now` until `not_after`; negative once that is over.
#[must_use]
pub fn days_remaining(not_after: OffsetDateTime, now: OffsetDateTime) -> i64 {
    (not_after - now).whole_seconds().div_euclid(24 * 60 * 60)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use time::Duration;
    use time::macros::datetime;

    use super::*;

    const NOT_AFTER: OffsetDateTime = datetime!(2027-11-22 8:30 UTC);

    fn kind() -> impl Strategy<Value = ExpiryKind> {
        prop::sample::select(ExpiryKind::ALL.as_slice())
    }

    fn before_the_end(seconds: i64) -> OffsetDateTime {
        NOT_AFTER - Duration::seconds(seconds)
    }

    /// What somebody who looks at these moments, and tells each threshold once, tells with how many whole days left.
    fn told(kind: ExpiryKind, moments: impl IntoIterator<Item = i64>) -> Vec<(u8, i64)> {
        let (mut known, mut told) = (BTreeSet::new(), Vec::new());
        for now in moments.into_iter().map(before_the_end) {
            let crossed = ExpiryThreshold::crossed(kind, NOT_AFTER, now);
            if let Some(threshold) = crossed.filter(|threshold| known.insert(*threshold)) {
                told.push((threshold.days(), days_remaining(NOT_AFTER, now)));
            }
        }
        told
    }

    /// The seed's table, by somebody who looks once a day for a year, at whatever time of day.
    #[test]
    fn a_year_day_by_day_tells_each_threshold_on_its_day() {
        const DAY: i64 = 86_400;
        let server = [(30, 30), (14, 14), (7, 7), (1, 1), (0, -1)];
        let ca = [(60, 60), (30, 30), (14, 14), (7, 7), (1, 1), (0, -1)];
        for time_of_day in [0, 1, DAY / 2, DAY - 1] {
            let year = || (-100..=265).rev().map(|day| day * DAY + time_of_day);
            assert_eq!(
                told(ExpiryKind::ServerCert, year()),
                server,
                "{time_of_day}"
            );
            assert_eq!(told(ExpiryKind::PlatformCa, year()), ca, "{time_of_day}");
        }
    }

    #[test]
    fn a_certificate_is_valid_through_its_last_moment() {
        for (millis, expected) in [(0, ExpiryThreshold::Day1), (1, ExpiryThreshold::Expired)] {
            let now = NOT_AFTER + Duration::milliseconds(millis);
            let crossed = ExpiryThreshold::crossed(ExpiryKind::ServerCert, NOT_AFTER, now);
            assert_eq!(crossed, Some(expected));
        }
    }

    #[test]
    fn days_are_whole_and_negative_after_the_end() {
        for (left, days) in [
            (Duration::days(14), 14),
            (Duration::hours(25), 1),
            (Duration::hours(23), 0),
            (Duration::hours(-1), -1),
            (Duration::hours(-25), -2),
        ] {
            assert_eq!(days_remaining(NOT_AFTER, NOT_AFTER - left), days, "{left}");
        }
    }

    #[test]
    fn thresholds_are_known_by_their_days() {
        for threshold in ExpiryThreshold::ALL {
            let days = threshold.days();
            assert_eq!(ExpiryThreshold::from_days(days), Some(threshold));
        }
        assert!(ExpiryThreshold::ALL.is_sorted());
        assert_eq!(ExpiryThreshold::from_days(2), None);
    }

    proptest! {
        #[test]
        fn whenever_somebody_looks_what_was_told_is_not_told_again_and_nothing_is_silenced(
            kind in kind(),
            moments in prop::collection::vec(-100 * 86_400_i64..100 * 86_400, 0..40),
        ) {
            let told = told(kind, moments.iter().copied());
            let days: BTreeSet<u8> = told.iter().map(|(days, _)| *days).collect();
            prop_assert_eq!(days.len(), told.len());
            for moment in moments {
                // The table, from the end on.
                let left = moment.div_euclid(86_400);
                let table = [0, 1, 7, 14, 30, 60].into_iter();
                let nearest = table.take_while(|days| *days <= i64::from(kind.first().days()));
                let nearest = nearest.filter(|days| *days > 0 || moment < 0);
                if let Some(nearest) = nearest.into_iter().find(|days| left <= *days) {
                    prop_assert!(days.contains(&u8::try_from(nearest).unwrap()), "{moment}: {told:?}");
                }
            }
        }

        #[test]
        fn a_clock_that_goes_on_tells_none_behind_a_later_one(
            kind in kind(),
            mut moments in prop::collection::vec(-100 * 86_400_i64..100 * 86_400, 0..40),
        ) {
            moments.sort_unstable_by(|one, next| next.cmp(one));
            let told = told(kind, moments);
            prop_assert!(told.is_sorted_by(|one, next| one.0 > next.0), "{told:?}");
        }

        #[test]
        fn who_looks_late_is_told_the_nearest_threshold_and_nothing_more(
            kind in kind(),
            seconds in -100 * 86_400_i64..100 * 86_400,
        ) {
            let now = before_the_end(seconds);
            let told = told(kind, [seconds, seconds]);
            prop_assert!(told.len() <= 1);
            let left = days_remaining(NOT_AFTER, now);
            let is_told = left <= i64::from(kind.first().days());
            prop_assert_eq!(told.len() == 1, is_told);
            for (threshold, _) in told {
                let nearer = ExpiryThreshold::ALL.into_iter().filter(|it| it.days() < threshold);
                for nearer in nearer.filter(|nearer| nearer.days() > 0) {
                    prop_assert!(left > i64::from(nearer.days()), "{nearer:?}");
                }
                prop_assert_eq!(threshold == 0, now > NOT_AFTER);
            }
        }
    }
}
