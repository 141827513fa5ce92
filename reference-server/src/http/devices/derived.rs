//! What is not stored but follows from the time: connectivity and the state of the certificate
//! (contract §6). Each is told of one device, and narrows a list to the devices of which it is told.

use identity_store::DeviceFilter;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;

/// A device that called less than this ago is online.
const ONLINE: Duration = Duration::seconds(30);

/// A device that called less than this ago, but is not online, is stale.
const STALE: Duration = Duration::minutes(10);

/// The smallest step of stored times.
const TICK: Duration = Duration::MILLISECOND;

/// How long ago a device last made a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Connectivity {
    /// Less than 30 seconds.
    Online,
    /// Less than ten minutes.
    Stale,
    /// Longer, or it never did.
    Offline,
}

impl Connectivity {
    /// That of a device which was seen at `last_seen`.
    #[must_use]
    pub(super) fn at(now: OffsetDateTime, last_seen: Option<OffsetDateTime>) -> Self {
        match last_seen.map(|seen| now - seen) {
            Some(age) if age < ONLINE => Self::Online,
            Some(age) if age < STALE => Self::Stale,
            Some(_) | None => Self::Offline,
        }
    }

    /// `filter`, narrowed to the devices of which this is true at its `now`.
    #[must_use]
    pub(super) fn narrow(self, mut filter: DeviceFilter) -> DeviceFilter {
        let online = filter.now - ONLINE + TICK;
        let stale = filter.now - STALE + TICK;
        match self {
            Self::Online => filter.seen_since = Some(online),
            Self::Stale => {
                filter.seen_since = Some(stale);
                filter.unseen_since = Some(online);
            }
            Self::Offline => filter.unseen_since = Some(stale),
        }
        filter
    }
}

/// Where a device's certificate is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum CertState {
    /// The device has no active certificate.
    None,
    /// It is valid.
    Ok,
    /// It is valid, and due to be renewed.
    RenewDue,
    /// It has expired.
    Expired,
}

impl CertState {
    /// That of an active certificate which expires at `not_after` and is due to be renewed
    /// `window` before.
    #[must_use]
    pub(super) fn at(
        now: OffsetDateTime,
        not_after: Option<OffsetDateTime>,
        window: Duration,
    ) -> Self {
        match not_after {
            None => Self::None,
            Some(not_after) if not_after <= now => Self::Expired,
            Some(not_after) if not_after <= now + window => Self::RenewDue,
            Some(_) => Self::Ok,
        }
    }

    /// `filter`, narrowed to the devices of which this is true at its `now`.
    #[must_use]
    pub(super) fn narrow(self, mut filter: DeviceFilter, window: Duration) -> DeviceFilter {
        let due = filter.now + window;
        match self {
            Self::None => filter.has_certificate = Some(false),
            Self::Ok => filter.expires_after = Some(due),
            Self::RenewDue => {
                filter.expires_after = Some(filter.now);
                filter.expires_until = Some(due);
            }
            Self::Expired => filter.expires_until = Some(filter.now),
        }
        filter
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);
    const WINDOW: Duration = Duration::days(30);

    /// What the store's documentation says of these members of the filter.
    fn matches_seen(filter: &DeviceFilter, seen: Option<OffsetDateTime>) -> bool {
        filter
            .seen_since
            .is_none_or(|since| seen.is_some_and(|seen| seen >= since))
            && filter
                .unseen_since
                .is_none_or(|since| seen.is_none_or(|seen| seen < since))
    }

    fn matches_expiry(filter: &DeviceFilter, not_after: Option<OffsetDateTime>) -> bool {
        filter
            .has_certificate
            .is_none_or(|has| has == not_after.is_some())
            && filter
                .expires_after
                .is_none_or(|after| not_after.is_some_and(|at| at > after))
            && filter
                .expires_until
                .is_none_or(|until| not_after.is_some_and(|at| at <= until))
    }

    #[test]
    fn connectivity_follows_from_the_last_call() {
        use Connectivity::{Offline, Online, Stale};
        let ago = |age: Duration| Some(NOW - age);
        for (seen, expected) in [
            (ago(-Duration::SECOND), Online),
            (ago(Duration::ZERO), Online),
            (ago(ONLINE - TICK), Online),
            (ago(ONLINE), Stale),
            (ago(STALE - TICK), Stale),
            (ago(STALE), Offline),
            (ago(Duration::days(400)), Offline),
            (None, Offline),
        ] {
            assert_eq!(Connectivity::at(NOW, seen), expected, "{seen:?}");
            for state in [Online, Stale, Offline] {
                let filter = state.narrow(DeviceFilter::all(NOW));
                assert_eq!(
                    matches_seen(&filter, seen),
                    state == expected,
                    "{state:?} {seen:?}"
                );
            }
        }
    }

    #[test]
    fn the_certificates_state_follows_from_its_expiry() {
        let from_now = |time: Duration| Some(NOW + time);
        for (not_after, expected) in [
            (None, CertState::None),
            (from_now(-Duration::days(1)), CertState::Expired),
            (from_now(Duration::ZERO), CertState::Expired),
            (from_now(TICK), CertState::RenewDue),
            (from_now(WINDOW), CertState::RenewDue),
            (from_now(WINDOW + TICK), CertState::Ok),
            (from_now(Duration::days(90)), CertState::Ok),
        ] {
            assert_eq!(
                CertState::at(NOW, not_after, WINDOW),
                expected,
                "{not_after:?}"
            );
            for state in [
                CertState::None,
                CertState::Ok,
                CertState::RenewDue,
                CertState::Expired,
            ] {
                let filter = state.narrow(DeviceFilter::all(NOW), WINDOW);
                let told = matches_expiry(&filter, not_after);
                assert_eq!(told, state == expected, "{state:?} {not_after:?}");
            }
        }
    }
}
