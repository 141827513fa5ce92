//! What webhooks say of an event (contract §10). No biometrics.

use serde_json::{Value, json};

use super::Event;
use super::audit::with;
use crate::time_format::rfc3339;

impl Event {
    /// The data of the event's webhook (contract §10). No biometrics.
    #[must_use]
    pub fn webhook_data(&self) -> Value {
        match self {
            Self::VerificationComplete {
                facts,
                scores,
                at,
                metadata,
                receipt,
                ..
            } => json!({
                "challenge_id": facts.challenge_id,
                "user_id": facts.user.user_id,
                "scores": scores,
                "timestamp": rfc3339(*at),
                "metadata": metadata,
                "receipt": receipt,
            }),
            Self::VerificationFailed { facts, reason, .. } => json!({
                "user_id": facts.user.user_id,
                "challenge_id": facts.challenge_id,
                "reason": reason,
            }),
            Self::PalmEnrolled {
                facts,
                palm_type,
                at,
                ..
            } => json!({
                "user_id": facts.user.user_id,
                "palm_type": palm_type,
                "device_id": facts.device_id.as_str(),
                "timestamp": rfc3339(*at),
            }),
            Self::PalmDuplicateDetected {
                facts,
                palm_type,
                enrolled,
                ..
            } => json!({
                "user_id": facts.user.user_id,
                "challenge_id": facts.challenge_id,
                "palm_type": palm_type,
                "device_id": facts.device_id.as_str(),
                "enrolled": enrolled,
            }),
            Self::PalmEnrollmentFailed {
                facts,
                palm_type,
                reason,
            } => json!({
                "user_id": facts.user.user_id,
                "challenge_id": facts.challenge_id,
                "palm_type": palm_type,
                "reason": reason,
            }),
            Self::ChallengeCreated(facts)
            | Self::ChallengeExpired(facts)
            | Self::ChallengeCanceled(facts) => facts.webhook_data(),
            Self::ChallengeDenied { facts, reason } => {
                with(facts.webhook_data(), json!({"reason": reason}))
            }
            Self::PalmErased { user }
            | Self::UserCreated { user }
            | Self::UserUpdated { user }
            | Self::UserSuspended { user }
            | Self::UserReactivated { user }
            | Self::UserLocked { user }
            | Self::UserUnlocked { user }
            | Self::DataExported { user }
            | Self::ConsentWithdrawn { user } => json!({"user_id": user.user_id}),
            Self::UserDeleted {
                user, erasure_id, ..
            } => json!({"user_id": user.user_id, "erasure_id": erasure_id}),
            Self::ErasureCompleted { tombstone, receipt } => {
                json!({"erasure_id": tombstone.erasure_id, "receipt": receipt})
            }
            Self::ConsentGranted { user, version } => {
                json!({"user_id": user.user_id, "version": version})
            }
            Self::DeviceCreated { .. }
            | Self::DeviceUpdated { .. }
            | Self::PairingCodeIssued { .. }
            | Self::DevicePaired { .. }
            | Self::PairingRefused
            | Self::CertRenewed { .. }
            | Self::CertRenewalFailed { .. }
            | Self::SupersededCertificateUsed { .. }
            | Self::DeviceRevoked { .. }
            | Self::DevicesRead { .. }
            | Self::AuditRead { .. }
            | Self::AuditExported { .. }
            | Self::DevicesExported { .. }
            | Self::PalmVendorUnauthorized { .. }
            | Self::ServerCertUploaded { .. }
            | Self::PlatformCaGenerated { .. }
            | Self::PlatformCaUploaded { .. }
            | Self::PlatformCaActivated { .. }
            | Self::PlatformCaRegenerated { .. }
            | Self::PlatformCaRetired { .. }
            | Self::JobCreated { .. }
            | Self::JobDeviceFailed { .. }
            | Self::JobEnded { .. }
            | Self::DeviceCertsBulkRevoked { .. }
            | Self::DevicePolicyChanged { .. }
            | Self::CertExpiring(_)
            | Self::CertExpiryAlertSent { .. }
            | Self::PlatformSecretReplaced { .. }
            | Self::TenantCreated { .. }
            | Self::TenantUpdated { .. }
            | Self::TenantSuspended { .. }
            | Self::TenantActivated { .. }
            | Self::OauthClientCreated { .. }
            | Self::OauthClientSecretAdded { .. }
            | Self::OauthClientKeysReplaced { .. }
            | Self::OauthClientDeleted { .. }
            | Self::ClientAuthFailed { .. }
            | Self::TokenIssued { .. }
            | Self::TokenRevoked { .. }
            | Self::TokenKeyPublished { .. }
            | Self::TokenKeyActivated { .. }
            | Self::LoginAttempt { .. }
            | Self::ConsoleUserCreated { .. }
            | Self::ConsoleUserUpdated { .. }
            | Self::ConsoleUserDeleted { .. }
            | Self::ConsoleUserPasswordChanged { .. }
            | Self::ConsoleUserRecovered { .. }
            | Self::ConsoleUserTotpIssued { .. }
            | Self::ConsoleUserTotpConfirmed { .. }
            | Self::ConsoleUserTotpRemoved { .. }
            | Self::ConsoleUserRecoveryCodeUsed { .. }
            | Self::ConsoleUserTotpLocked { .. }
            | Self::ConsoleUserReauthenticationFailed { .. }
            | Self::ConsoleUserSessionEnded { .. }
            | Self::WebhookEndpointCreated { .. }
            | Self::WebhookEndpointUpdated { .. }
            | Self::WebhookEndpointDeleted { .. }
            | Self::WebhookEndpointSecretRotated { .. }
            | Self::WebhookEndpointEnabled { .. }
            | Self::WebhookEndpointDisabled { .. }
            | Self::WebhookEndpointTested { .. }
            | Self::WebhookEndpointRecovered { .. }
            | Self::WebhookDeliveryResent { .. }
            | Self::OpsAlert { .. } => self.audit_metadata(),
        }
    }
}
