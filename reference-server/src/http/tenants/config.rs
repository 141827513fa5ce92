//! A tenant's settings, as they are read and written (contract §4).

use identity_challenge::{MaxAttempts, PalmPolicy, Ttl};
use identity_store::{PalmDuplicateAction, TenantConfig};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::Problem;
use crate::issuance::MAX_VALIDITY_DAYS;

/// A day, in seconds: a scanner may be without its network for long.
const MAX_RENEWAL_GRACE: u32 = 24 * 60 * 60;

/// A queue at one scanner that is longer than this is a mistake.
const MAX_OPEN_CHALLENGES: u32 = 100;

/// A tenant's settings. Each member is there in a read, and is to be there in a write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TenantConfig)]
pub(super) struct ConfigObject {
    /// Whether the tenant's own events are written to its audit trail.
    audit_enabled: bool,
    /// 1 to 3650; `null` inherits the platform's device policy.
    certificate_validity_days: Option<u32>,
    /// Less than the validity; `null` inherits the platform's device policy.
    renewal_window_days: Option<u32>,
    /// 0 to 86400. With 0 a superseded certificate is denied at once; above, it may repeat its renewal with the
    /// same key for so long, or until the certificate in its place is used.
    renewal_grace_seconds: u32,
    /// Whether a palm is enrolled only with the user's consent.
    consent_required: bool,
    /// Whether a palm is enrolled only after the user's identity was verified.
    kyc_required_for_enrollment: bool,
    /// 15 to 600.
    #[schema(value_type = u32, minimum = 15, maximum = 600)]
    challenge_ttl_seconds: Ttl,
    /// 1 to 10.
    #[schema(value_type = u32, minimum = 1, maximum = 10)]
    max_attempts: MaxAttempts,
    /// 1 to 100.
    max_open_challenges_per_device: u32,
    /// When a palm that is to be enrolled is another user's too: `reject` the enrolment, `flag` it, which
    /// enrols and records it, or `allow` it.
    #[schema(value_type = String)]
    palm_duplicate_action: PalmDuplicateAction,
    /// When a vendor's scores are a match.
    #[schema(value_type = Object)]
    palm_policy: PalmPolicy,
}

impl From<TenantConfig> for ConfigObject {
    fn from(config: TenantConfig) -> Self {
        Self {
            audit_enabled: config.audit_enabled,
            certificate_validity_days: config.certificate_validity_days,
            renewal_window_days: config.renewal_window_days,
            renewal_grace_seconds: config.renewal_grace_seconds,
            consent_required: config.consent_required,
            kyc_required_for_enrollment: config.kyc_required_for_enrollment,
            challenge_ttl_seconds: config.challenge_ttl_seconds,
            max_attempts: config.max_attempts,
            max_open_challenges_per_device: config.max_open_challenges_per_device,
            palm_duplicate_action: config.palm_duplicate_action,
            palm_policy: config.palm_policy,
        }
    }
}

impl TryFrom<ConfigObject> for TenantConfig {
    type Error = Problem;

    fn try_from(config: ConfigObject) -> Result<Self, Problem> {
        config.check()?;
        Ok(Self {
            audit_enabled: config.audit_enabled,
            certificate_validity_days: config.certificate_validity_days,
            renewal_window_days: config.renewal_window_days,
            renewal_grace_seconds: config.renewal_grace_seconds,
            consent_required: config.consent_required,
            kyc_required_for_enrollment: config.kyc_required_for_enrollment,
            challenge_ttl_seconds: config.challenge_ttl_seconds,
            max_attempts: config.max_attempts,
            max_open_challenges_per_device: config.max_open_challenges_per_device,
            palm_duplicate_action: config.palm_duplicate_action,
            palm_policy: config.palm_policy,
        })
    }
}

impl ConfigObject {
    fn check(&self) -> Result<(), Problem> {
        let refuse = |member: &str, reason: String| Err(Problem::invalid(member, reason));
        if self
            .certificate_validity_days
            .is_some_and(|d| !(1..=MAX_VALIDITY_DAYS).contains(&d))
        {
            let reason = format!("must be 1 to {MAX_VALIDITY_DAYS}, or null");
            return refuse("certificate_validity_days", reason);
        }
        if self.renewal_grace_seconds > MAX_RENEWAL_GRACE {
            let reason = format!("must be 0 to {MAX_RENEWAL_GRACE}");
            return refuse("renewal_grace_seconds", reason);
        }
        if !(1..=MAX_OPEN_CHALLENGES).contains(&self.max_open_challenges_per_device) {
            let reason = format!("must be 1 to {MAX_OPEN_CHALLENGES}");
            return refuse("max_open_challenges_per_device", reason);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn default_json() -> Value {
        serde_json::to_value(ConfigObject::from(TenantConfig::default())).expect("JSON")
    }

    /// The contract's page shows the defaults.
    #[test]
    fn the_default_settings_are_the_contracts() {
        assert_eq!(
            default_json(),
            json!({
                "audit_enabled": true, "certificate_validity_days": null,
                "renewal_window_days": null, "renewal_grace_seconds": 0,
                "consent_required": true, "kyc_required_for_enrollment": false,
                "challenge_ttl_seconds": 120, "max_attempts": 3,
                "max_open_challenges_per_device": 5, "palm_duplicate_action": "reject",
                "palm_policy": {
                    "mode": "all", "k": 4, "weights": [1.0, 1.0, 1.0, 1.0],
                    "threshold_offset": [0.0, 0.0, 0.0, 0.0], "use": [0, 1, 2, 3],
                    "min_margin": 0.0,
                },
            })
        );
    }

    #[test]
    fn what_was_read_can_be_written() {
        let object: ConfigObject = serde_json::from_value(default_json()).expect("settings");
        assert_eq!(
            TenantConfig::try_from(object).expect("sound"),
            TenantConfig::default()
        );
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        for (member, value) in [
            ("certificate_validity_days", json!(0)),
            ("certificate_validity_days", json!(3651)),
            ("renewal_grace_seconds", json!(86_401)),
            ("max_open_challenges_per_device", json!(0)),
            ("max_open_challenges_per_device", json!(101)),
        ] {
            let mut config = default_json();
            config[member] = value.clone();
            let object: ConfigObject = serde_json::from_value(config).expect("settings");
            let problem = TenantConfig::try_from(object).expect_err(member);
            let shown: Value = serde_json::from_slice(&problem.to_json("r")).expect("JSON");
            assert_eq!(shown["fields"][0]["path"], member, "{value}");
        }
    }
}
