//! The table of events: what each is called, how it turned out, how much it matters.

use identity_challenge::ReasonCode;
use identity_pki::{ExpiryKind, ExpiryThreshold};

use super::{Event, Expiry, Outcome, Severity};

/// An event's line in the table.
#[derive(Clone, Copy)]
struct Entry {
    name: &'static str,
    outcome: Outcome,
    severity: Severity,
    webhook: Option<&'static str>,
}

/// An event of the daily course that stays in the audit trail.
const fn audited(name: &'static str) -> Entry {
    Entry {
        name,
        outcome: Outcome::Succeeded,
        severity: Severity::Info,
        webhook: None,
    }
}

impl Entry {
    const fn failed(mut self) -> Self {
        self.outcome = Outcome::Failed;
        self
    }

    const fn high(mut self) -> Self {
        self.severity = Severity::High;
        self
    }

    const fn high_if(self, matters: bool) -> Self {
        if matters { self.high() } else { self }
    }

    const fn critical(mut self) -> Self {
        self.severity = Severity::Critical;
        self
    }

    const fn webhook(mut self, event_type: &'static str) -> Self {
        self.webhook = Some(event_type);
        self
    }

    const fn webhook_if(self, sent: bool, event_type: &'static str) -> Self {
        if sent { self.webhook(event_type) } else { self }
    }
}

fn expiring(expiry: &Expiry) -> Entry {
    let is_over = expiry.threshold == ExpiryThreshold::Expired;
    let (name, event_type) = match (expiry.kind, is_over) {
        (ExpiryKind::ServerCert, false) => {
            ("server_cert_expiring", "platform.server_cert.expiring")
        }
        (ExpiryKind::ServerCert, true) => ("server_cert_expired", "platform.server_cert.expired"),
        (ExpiryKind::PlatformCa, false) => {
            ("platform_ca_expiring", "platform.platform_ca.expiring")
        }
        (ExpiryKind::PlatformCa, true) => ("platform_ca_expired", "platform.platform_ca.expired"),
    };
    let is_urgent = expiry.threshold.is_urgent();
    audited(name).high_if(is_urgent).webhook(event_type)
}

impl Event {
    /// What is sent to one endpoint that is tried out.
    pub const WEBHOOK_TEST: &'static str = "webhook.test";

    /// Every dotted name under which webhooks carry events that endpoints subscribe to.
    pub const WEBHOOK_TYPES: &'static [&'static str] = &[
        "challenge.canceled",
        "challenge.created",
        "challenge.denied",
        "challenge.expired",
        "consent.granted",
        "consent.withdrawn",
        "device.created",
        "device.paired",
        "device.renewed",
        "device.revoked",
        "device.updated",
        "enrollment.complete",
        "enrollment.duplicate_detected",
        "enrollment.failed",
        "erasure.completed",
        "platform.ops_alert",
        "platform.platform_ca.expired",
        "platform.platform_ca.expiring",
        "platform.server_cert.expired",
        "platform.server_cert.expiring",
        "user.created",
        "user.deleted",
        "user.locked",
        "user.reactivated",
        "user.suspended",
        "user.unlocked",
        "user.updated",
        "verification.complete",
        "verification.failed",
    ];

    /// Those behind which nothing more happens to their subject: nobody counts on from its number.
    const LAST_TYPES: &'static [&'static str] = &[
        "challenge.canceled",
        "challenge.denied",
        "challenge.expired",
        "enrollment.complete",
        "enrollment.failed",
        "erasure.completed",
        "user.deleted",
        "verification.complete",
        "verification.failed",
    ];

    /// Whether an event of this type is the last of its subject, unless somebody else gets its id.
    pub(crate) fn ends_subject(webhook_type: &str) -> bool {
        Self::LAST_TYPES.contains(&webhook_type)
    }

    /// The event's name in the audit trail.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.entry().name
    }

    /// The dotted name under which webhooks carry the event; `None` for what stays in the audit
    /// trail, and for a failed try that does not end its challenge.
    #[must_use]
    pub fn webhook_type(&self) -> Option<&'static str> {
        self.entry().webhook
    }

    /// Whether it tells of a success.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.entry().outcome
    }

    /// How much it matters.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.entry().severity
    }

    fn entry(&self) -> Entry {
        match self {
            Self::DeviceCreated { .. } => audited("device_created").webhook("device.created"),
            Self::DeviceUpdated { .. } => audited("device_updated").webhook("device.updated"),
            Self::PairingCodeIssued { .. } => audited("pairing_code_issued"),
            Self::DevicePaired { .. } => audited("device_paired").webhook("device.paired"),
            Self::PairingRefused => audited("device_paired").failed(),
            Self::CertRenewed { .. } => audited("cert_renewed").webhook("device.renewed"),
            Self::CertRenewalFailed { .. } => audited("cert_renewal_failed").failed(),
            Self::SupersededCertificateUsed { .. } => {
                audited("superseded_certificate_used").failed().high()
            }
            Self::DeviceRevoked { .. } => audited("device_revoked").webhook("device.revoked"),
            Self::DevicesRead { .. } => audited("devices_read"),
            Self::AuditRead { .. } => audited("audit_read"),
            Self::AuditExported { .. } => audited("data_export"),
            Self::DevicesExported { .. } => audited("devices_exported"),
            Self::ChallengeCreated(_) => audited("challenge_created").webhook("challenge.created"),
            Self::ChallengeExpired(_) => audited("challenge_expired").webhook("challenge.expired"),
            Self::ChallengeCanceled(_) => {
                audited("challenge_canceled").webhook("challenge.canceled")
            }
            Self::ChallengeDenied { .. } => audited("challenge_denied").webhook("challenge.denied"),
            Self::VerificationComplete { .. } => {
                audited("verification_complete").webhook("verification.complete")
            }
            Self::VerificationFailed { reason, ended, .. } => audited("verification_failed")
                .failed()
                .high_if(*reason == ReasonCode::IdentityMismatch)
                .webhook_if(*ended, "verification.failed"),
            Self::PalmEnrolled { .. } => audited("palm_enrolled").webhook("enrollment.complete"),
            Self::PalmDuplicateDetected { .. } => audited("palm_duplicate_detected")
                .high()
                .webhook("enrollment.duplicate_detected"),
            Self::PalmEnrollmentFailed { reason, .. } => audited("palm_enrollment_failed")
                .failed()
                .high_if(*reason == ReasonCode::DuplicateBiometrics)
                .webhook("enrollment.failed"),
            Self::PalmVendorUnauthorized { .. } => {
                audited("palm_vendor_unauthorized").failed().critical()
            }
            Self::PalmErased { .. } => audited("palm_erased"),
            Self::UserCreated { .. } => audited("user_created").webhook("user.created"),
            Self::UserUpdated { .. } => audited("user_updated").webhook("user.updated"),
            Self::UserSuspended { .. } => audited("user_suspended").webhook("user.suspended"),
            Self::UserReactivated { .. } => audited("user_reactivated").webhook("user.reactivated"),
            Self::UserLocked { .. } => audited("user_locked").webhook("user.locked"),
            Self::UserUnlocked { .. } => audited("user_unlocked").webhook("user.unlocked"),
            Self::UserDeleted { .. } => audited("user_deleted").webhook("user.deleted"),
            Self::ErasureCompleted { .. } => {
                audited("erasure_completed").webhook("erasure.completed")
            }
            Self::DataExported { .. } => audited("data_export"),
            Self::ConsentGranted { .. } => audited("consent_granted").webhook("consent.granted"),
            Self::ConsentWithdrawn { .. } => {
                audited("consent_withdrawn").webhook("consent.withdrawn")
            }
            Self::ServerCertUploaded { .. } => audited("server_cert_uploaded"),
            Self::PlatformCaGenerated { .. } => audited("platform_ca_generated"),
            Self::PlatformCaUploaded { .. } => audited("platform_ca_uploaded"),
            Self::PlatformCaActivated { .. } => audited("platform_ca_activated"),
            Self::PlatformCaRegenerated { .. } => audited("platform_ca_regenerated").high(),
            Self::PlatformCaRetired { .. } => audited("platform_ca_retired"),
            Self::JobCreated { .. } => audited("job_created"),
            Self::JobDeviceFailed { .. } => audited("job_device_failed").failed().high(),
            Self::JobEnded { failed, .. } => {
                let entry = audited("job_ended");
                if *failed == 0 { entry } else { entry.failed() }
            }
            Self::DeviceCertsBulkRevoked { failed, .. } => {
                let entry = audited("device_certs_bulk_revoked").high();
                if *failed == 0 { entry } else { entry.failed() }
            }
            Self::DevicePolicyChanged { .. } => audited("device_policy_changed"),
            Self::CertExpiring(expiry) => expiring(expiry),
            Self::CertExpiryAlertSent { threshold, .. } => {
                audited("cert_expiry_alert_sent").high_if(threshold.is_urgent())
            }
            Self::PlatformSecretReplaced { .. } => audited("platform_secret_replaced").high(),
            Self::TokenKeyPublished { .. } => audited("token_key_published"),
            Self::TokenKeyActivated { .. } => audited("token_key_activated"),
            Self::TenantCreated { .. } => audited("tenant_created"),
            Self::TenantUpdated { .. } => audited("tenant_updated"),
            Self::TenantSuspended { .. } => audited("tenant_suspended"),
            Self::TenantActivated { .. } => audited("tenant_activated"),
            Self::OauthClientCreated { .. } => audited("oauth_client_created"),
            Self::OauthClientSecretAdded { .. } => audited("oauth_client_secret_added"),
            Self::OauthClientKeysReplaced { .. } => audited("oauth_client_keys_replaced"),
            Self::OauthClientDeleted { .. } => audited("oauth_client_deleted"),
            Self::ClientAuthFailed { .. } => audited("client_auth_failed").failed(),
            Self::TokenIssued { .. } => audited("token_issued"),
            Self::TokenRevoked { .. } => audited("token_revoked"),
            Self::LoginAttempt { reason: None, .. } => audited("login_attempt"),
            Self::LoginAttempt {
                reason: Some(_), ..
            } => audited("login_attempt").failed(),
            Self::ConsoleUserCreated { .. } => audited("console_user_created"),
            Self::ConsoleUserUpdated { .. } => audited("console_user_updated"),
            Self::ConsoleUserDeleted { .. } => audited("console_user_deleted"),
            Self::ConsoleUserPasswordChanged { .. } => audited("console_user_password_changed"),
            Self::ConsoleUserRecovered { .. } => audited("console_user_recovered").high(),
            Self::ConsoleUserTotpIssued { .. } => audited("console_user_totp_issued"),
            Self::ConsoleUserTotpConfirmed { .. } => audited("console_user_totp_confirmed"),
            Self::ConsoleUserTotpRemoved { .. } => audited("console_user_totp_removed"),
            Self::ConsoleUserRecoveryCodeUsed { .. } => audited("console_user_recovery_code_used"),
            Self::ConsoleUserTotpLocked { .. } => {
                audited("console_user_totp_locked").failed().high()
            }
            Self::ConsoleUserReauthenticationFailed { .. } => {
                audited("console_user_reauthentication_failed").failed()
            }
            Self::ConsoleUserSessionEnded { .. } => audited("console_user_session_ended"),
            Self::WebhookEndpointCreated { .. } => audited("webhook_endpoint_created"),
            Self::WebhookEndpointUpdated { .. } => audited("webhook_endpoint_updated"),
            Self::WebhookEndpointDeleted { .. } => audited("webhook_endpoint_deleted"),
            Self::WebhookEndpointSecretRotated { .. } => audited("webhook_endpoint_secret_rotated"),
            Self::WebhookEndpointEnabled { .. } => audited("webhook_endpoint_enabled"),
            Self::WebhookEndpointDisabled { .. } => {
                audited("webhook_endpoint_disabled").failed().high()
            }
            Self::WebhookEndpointTested { .. } => {
                audited("webhook_endpoint_tested").webhook(Self::WEBHOOK_TEST)
            }
            Self::WebhookEndpointRecovered { .. } => audited("webhook_endpoint_recovered"),
            Self::WebhookDeliveryResent { .. } => audited("webhook_delivery_resent"),
            Self::OpsAlert { .. } => audited("ops_alert")
                .failed()
                .critical()
                .webhook("platform.ops_alert"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_list_of_names_is_the_tables() {
        let table = include_str!("catalogue.rs");
        let (_, table) = table.split_once("fn expiring(").unwrap();
        let (table, _) = table.split_once("#[cfg(test)]").unwrap();
        let (before, list) = table.split_once("WEBHOOK_TYPES").unwrap();
        let (_, rest) = list.split_once("];").unwrap();
        let texts = before.split('"').skip(1).step_by(2);
        let texts = texts.chain(rest.split('"').skip(1).step_by(2));
        let named: BTreeSet<_> = texts.filter(|text| text.contains('.')).collect();
        let listed: BTreeSet<_> = Event::WEBHOOK_TYPES.iter().copied().collect();
        let sent = Event::WEBHOOK_TEST;
        assert_eq!(
            named
                .into_iter()
                .filter(|name| *name != sent)
                .collect::<BTreeSet<_>>(),
            listed
        );
        assert!(Event::WEBHOOK_TYPES.is_sorted());
        let last = Event::LAST_TYPES.iter();
        assert!(last.copied().all(|name| listed.contains(name)));
    }
}
