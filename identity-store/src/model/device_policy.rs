use time::{Duration, OffsetDateTime};

use super::TenantConfig;
use crate::{Error, Result};
use identity_pki::TenantId;

/// How device certificates are made (contract §11): the platform's own values, or those that a
/// tenant's settings make of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DevicePolicy {
    /// How long a certificate is valid, in days.
    pub validity_days: u32,
    /// How many days before its expiry a certificate is due for renewal.
    pub renewal_window_days: u32,
    /// How far certificates are dated back, for devices whose clock is late, in seconds.
    pub clock_skew_seconds: u32,
}

impl Default for DevicePolicy {
    fn default() -> Self {
        Self {
            validity_days: 90,
            renewal_window_days: 30,
            clock_skew_seconds: 300,
        }
    }
}

impl DevicePolicy {
    /// The policy of a tenant with these settings: its own values, and the platform's for the others.
    ///
    /// ```
    /// use identity_store::{DevicePolicy, TenantConfig};
    ///
    /// let mut config = TenantConfig::default();
    /// config.certificate_validity_days = Some(365);
    /// let policy = DevicePolicy::default().of_tenant(&config);
    /// assert_eq!((policy.validity_days, policy.renewal_window_days), (365, 30));
    /// ```
    #[must_use]
    pub fn of_tenant(self, config: &TenantConfig) -> Self {
        Self {
            validity_days: config
                .certificate_validity_days
                .unwrap_or(self.validity_days),
            renewal_window_days: config
                .renewal_window_days
                .unwrap_or(self.renewal_window_days),
            clock_skew_seconds: self.clock_skew_seconds,
        }
    }

    /// Whether the window is shorter than the validity, so that a new certificate is not due to be
    /// renewed at once.
    #[must_use]
    pub fn is_sound(self) -> bool {
        self.renewal_window_days < self.validity_days
    }

    /// Refuses a policy that is not sound by itself.
    pub(crate) fn must_be_sound(self) -> Result<()> {
        self.sound_or_refused(None)
    }

    /// Refuses a policy that is not sound with a tenant's settings.
    pub(crate) fn must_suit(self, tenant_id: &TenantId, config: &TenantConfig) -> Result<()> {
        self.of_tenant(config).sound_or_refused(Some(tenant_id))
    }

    fn sound_or_refused(self, tenant_id: Option<&TenantId>) -> Result<()> {
        if self.is_sound() {
            return Ok(());
        }
        Err(Error::RenewalWindow {
            tenant_id: tenant_id.cloned(),
            policy: self,
        })
    }

    /// How long a certificate is valid.
    #[must_use]
    pub fn validity(self) -> Duration {
        Duration::days(i64::from(self.validity_days))
    }

    /// How long before its expiry a certificate is due for renewal.
    #[must_use]
    pub fn renewal_window(self) -> Duration {
        Duration::days(i64::from(self.renewal_window_days))
    }

    /// How far certificates are dated back.
    #[must_use]
    pub fn clock_skew(self) -> Duration {
        Duration::seconds(i64::from(self.clock_skew_seconds))
    }

    /// When a device should renew a certificate of these dates: at its expiry minus the window. One that
    /// lives no longer than the window, because its CA ends soon, is renewed after two thirds of its life:
    /// the next one may end at the same moment, and a device is not to renew over and over.
    #[must_use]
    pub fn renew_after(
        self,
        not_before: OffsetDateTime,
        not_after: OffsetDateTime,
    ) -> OffsetDateTime {
        let window_begins = not_after - self.renewal_window();
        if window_begins > not_before {
            return window_begins;
        }
        not_before + (not_after - not_before) * 2 / 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(validity: Option<u32>, window: Option<u32>) -> TenantConfig {
        TenantConfig {
            certificate_validity_days: validity,
            renewal_window_days: window,
            ..TenantConfig::default()
        }
    }

    #[test]
    fn a_tenants_days_override_the_platforms() {
        for (validity, window, expected) in [
            (None, None, (90, 30)),
            (Some(7), Some(2), (7, 2)),
            (Some(365), None, (365, 30)),
            (None, Some(60), (90, 60)),
        ] {
            let policy = DevicePolicy::default().of_tenant(&config(validity, window));
            let days = (policy.validity_days, policy.renewal_window_days);
            assert_eq!(days, expected, "{validity:?} {window:?}");
            assert_eq!(policy.clock_skew_seconds, 300);
        }
    }

    #[test]
    fn a_certificate_that_its_ca_cuts_short_is_not_renewed_over_and_over() {
        let not_before = OffsetDateTime::UNIX_EPOCH;
        for (lives_hours, renewed_after_hours) in [
            (90 * 24, 60 * 24),
            (365 * 24, 335 * 24),
            (30 * 24 + 1, 1),
            (30 * 24, 20 * 24),
            (3, 2),
            (0, 0),
        ] {
            let not_after = not_before + Duration::hours(lives_hours);
            let renewed = DevicePolicy::default().renew_after(not_before, not_after);
            let expected = not_before + Duration::hours(renewed_after_hours);
            assert_eq!(renewed, expected, "{lives_hours}");
        }
    }

    #[test]
    fn a_window_is_shorter_than_the_validity() {
        for (validity, window, sound) in [
            (None, None, true),
            (Some(30), None, false),
            (Some(31), None, true),
            (None, Some(90), false),
            (Some(1), Some(0), true),
        ] {
            let policy = DevicePolicy::default().of_tenant(&config(validity, window));
            assert_eq!(policy.is_sound(), sound, "{validity:?} {window:?}");
        }
    }
}
