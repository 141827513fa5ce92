use identity_challenge::{MaxAttempts, PalmPolicy, Ttl};
use identity_pki::TenantId;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A customer of the platform: the boundary that devices, users and challenges never cross.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// Its slug.
    pub tenant_id: TenantId,
    /// Its name, for people.
    pub name: String,
    /// Whether its callers are served.
    pub status: TenantStatus,
    /// Its settings.
    pub config: TenantConfig,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

/// Whether a tenant's callers are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantStatus {
    /// They are.
    Active,
    /// Every route refuses them.
    Suspended,
}

/// What to do when a palm that is to be enrolled is known under another user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PalmDuplicateAction {
    /// Refuse the enrolment.
    Reject,
    /// Enrol, and record the duplicate.
    Flag,
    /// Enrol.
    Allow,
}

/// A tenant's settings (contract §4). `None` inherits the platform's device policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantConfig {
    /// Whether the tenant's own events are written to its audit trail.
    pub audit_enabled: bool,
    /// Validity of device certificates, in days.
    pub certificate_validity_days: Option<u32>,
    /// How many days before its expiry a certificate is due for renewal.
    pub renewal_window_days: Option<u32>,
    /// How long a superseded certificate may repeat its renewal, in seconds.
    pub renewal_grace_seconds: u32,
    /// Whether a palm is enrolled only with the user's consent.
    pub consent_required: bool,
    /// Whether a palm is enrolled only after the user's identity was verified.
    pub kyc_required_for_enrollment: bool,
    /// How long a challenge is open unless its creator says otherwise.
    pub challenge_ttl_seconds: Ttl,
    /// How many tries a challenge allows unless its creator says otherwise.
    pub max_attempts: MaxAttempts,
    /// How many challenges may be open at one device.
    pub max_open_challenges_per_device: u32,
    /// What to do with a palm that is known already.
    pub palm_duplicate_action: PalmDuplicateAction,
    /// When a vendor's scores are a match.
    pub palm_policy: PalmPolicy,
}

impl Default for TenantConfig {
    fn default() -> Self {
        Self {
            audit_enabled: true,
            certificate_validity_days: None,
            renewal_window_days: None,
            renewal_grace_seconds: 0,
            consent_required: true,
            kyc_required_for_enrollment: false,
            challenge_ttl_seconds: Ttl::default(),
            max_attempts: MaxAttempts::default(),
            max_open_challenges_per_device: 5,
            palm_duplicate_action: PalmDuplicateAction::Reject,
            palm_policy: PalmPolicy::default(),
        }
    }
}
