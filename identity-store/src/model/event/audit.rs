//! What audit rows say of an event: ids, never names, contact data or biometrics.

use identity_pki::{DeviceId, TenantId};
use serde_json::{Value, json};

use super::{ChallengeFacts, Event, Expiry, Subject};
use crate::Actor;
use crate::time_format::rfc3339;

impl Event {
    /// What it is about: an id, or the kind of thing where there is only one.
    #[must_use]
    pub fn subject(&self) -> String {
        self.subject_for(|user| user.internal_id.as_str())
    }

    /// What its webhook is about: as [`subject`](Self::subject), but users by the integrator's id.
    #[must_use]
    pub fn webhook_subject(&self) -> String {
        self.subject_for(|user| user.user_id.as_str())
    }

    fn subject_for(&self, user_id: impl Fn(&Subject) -> &str) -> String {
        match self {
            Self::DeviceCreated { device_id, .. }
            | Self::DeviceUpdated { device_id, .. }
            | Self::PairingCodeIssued { device_id, .. }
            | Self::DevicePaired { device_id, .. }
            | Self::CertRenewed { device_id, .. }
            | Self::CertRenewalFailed { device_id, .. }
            | Self::SupersededCertificateUsed { device_id, .. }
            | Self::DeviceRevoked { device_id, .. } => device_id.to_string(),
            Self::ChallengeCreated(facts)
            | Self::ChallengeExpired(facts)
            | Self::ChallengeCanceled(facts)
            | Self::ChallengeDenied { facts, .. }
            | Self::VerificationComplete { facts, .. }
            | Self::VerificationFailed { facts, .. }
            | Self::PalmEnrolled { facts, .. }
            | Self::PalmDuplicateDetected { facts, .. }
            | Self::PalmEnrollmentFailed { facts, .. } => facts.challenge_id.to_string(),
            Self::PalmErased { user }
            | Self::UserCreated { user }
            | Self::UserUpdated { user }
            | Self::UserSuspended { user }
            | Self::UserReactivated { user }
            | Self::UserLocked { user }
            | Self::UserUnlocked { user }
            | Self::UserDeleted { user, .. }
            | Self::DataExported { user }
            | Self::ConsentGranted { user, .. }
            | Self::ConsentWithdrawn { user } => user_id(user).to_owned(),
            Self::ErasureCompleted { tombstone, .. } => tombstone.erasure_id.to_string(),
            Self::ServerCertUploaded { .. } => "server_cert".to_owned(),
            Self::PlatformCaGenerated { .. }
            | Self::PlatformCaUploaded { .. }
            | Self::PlatformCaActivated { .. }
            | Self::PlatformCaRegenerated { .. }
            | Self::PlatformCaRetired { .. } => "platform_ca".to_owned(),
            Self::JobCreated { job_id, .. }
            | Self::JobDeviceFailed { job_id, .. }
            | Self::JobEnded { job_id, .. }
            | Self::DeviceCertsBulkRevoked { job_id, .. } => job_id.to_string(),
            Self::DevicePolicyChanged { .. } => "device_policy".to_owned(),
            Self::CertExpiring(Expiry { kind, .. }) | Self::CertExpiryAlertSent { kind, .. } => {
                kind.as_str().to_owned()
            }
            Self::PlatformSecretReplaced { name } => name.as_str().to_owned(),
            Self::TokenKeyPublished { key_id } | Self::TokenKeyActivated { key_id } => {
                key_id.clone()
            }
            Self::TenantCreated { tenant_id }
            | Self::TenantUpdated { tenant_id }
            | Self::TenantSuspended { tenant_id }
            | Self::TenantActivated { tenant_id }
            | Self::DevicesRead { tenant_id, .. }
            | Self::DevicesExported { tenant_id, .. }
            | Self::AuditRead { tenant_id } => tenant_id.to_string(),
            Self::AuditExported { .. } => "audit".to_owned(),
            Self::OauthClientCreated { client_id }
            | Self::OauthClientSecretAdded { client_id }
            | Self::OauthClientKeysReplaced { client_id }
            | Self::OauthClientDeleted { client_id }
            | Self::TokenIssued { client_id, .. }
            | Self::TokenRevoked { client_id, .. } => client_id.to_string(),
            Self::ClientAuthFailed { client_id, .. } => client_id.clone(),
            Self::LoginAttempt {
                operator_id: None, ..
            }
            | Self::PairingRefused => String::new(),
            Self::LoginAttempt {
                operator_id: Some(operator_id),
                ..
            }
            | Self::ConsoleUserCreated { operator_id, .. }
            | Self::ConsoleUserUpdated { operator_id, .. }
            | Self::ConsoleUserDeleted { operator_id }
            | Self::ConsoleUserPasswordChanged { operator_id }
            | Self::ConsoleUserRecovered { operator_id }
            | Self::ConsoleUserTotpIssued { operator_id }
            | Self::ConsoleUserTotpConfirmed { operator_id }
            | Self::ConsoleUserTotpRemoved { operator_id }
            | Self::ConsoleUserRecoveryCodeUsed { operator_id }
            | Self::ConsoleUserTotpLocked { operator_id }
            | Self::ConsoleUserReauthenticationFailed { operator_id, .. }
            | Self::ConsoleUserSessionEnded { operator_id, .. } => operator_id.to_string(),
            Self::PalmVendorUnauthorized { .. } => "palm_server".to_owned(),
            Self::WebhookEndpointCreated { webhook_id }
            | Self::WebhookEndpointUpdated { webhook_id }
            | Self::WebhookEndpointDeleted { webhook_id }
            | Self::WebhookEndpointSecretRotated { webhook_id }
            | Self::WebhookEndpointEnabled { webhook_id }
            | Self::WebhookEndpointDisabled { webhook_id, .. }
            | Self::WebhookEndpointTested { webhook_id }
            | Self::WebhookEndpointRecovered { webhook_id, .. }
            | Self::WebhookDeliveryResent { webhook_id, .. } => webhook_id.to_string(),
            Self::OpsAlert { kind } => (*kind).to_owned(),
        }
    }

    /// The event's fields in the row of what `actor` did: its own, and the platform's administrator where
    /// the contract's table lists one.
    #[must_use]
    pub(crate) fn audit_metadata_of(&self, actor: &Actor) -> Value {
        let own = self.audit_metadata();
        match actor {
            Actor::Operator(id) if self.is_tls_administration() => {
                with(own, json!({"platform_admin_id": id}))
            }
            Actor::Operator(_)
            | Actor::Client(_)
            | Actor::Device(_)
            | Actor::System(_)
            | Actor::Anonymous => own,
        }
    }

    fn is_tls_administration(&self) -> bool {
        matches!(
            self,
            Self::ServerCertUploaded { .. }
                | Self::PlatformCaGenerated { .. }
                | Self::PlatformCaUploaded { .. }
                | Self::PlatformCaActivated { .. }
                | Self::PlatformCaRegenerated { .. }
                | Self::PlatformCaRetired { .. }
                | Self::DevicePolicyChanged { .. }
        )
    }

    /// The event's own fields in the audit trail: ids, never names, contact data or biometrics.
    #[must_use]
    pub fn audit_metadata(&self) -> Value {
        match self {
            Self::DeviceCreated { device_id, status }
            | Self::DeviceUpdated { device_id, status }
            | Self::PairingCodeIssued { device_id, status } => {
                json!({"device_id": device_id.as_str(), "status": status})
            }
            Self::DevicePaired {
                device_id,
                fingerprint,
            } => {
                json!({"device_id": device_id.as_str(), "fingerprint": fingerprint.to_string()})
            }
            Self::PairingRefused => json!({"reason": "invalid_code"}),
            Self::CertRenewed {
                device_id,
                old_fingerprint,
                new_fingerprint,
            } => json!({
                "device_id": device_id.as_str(),
                "old_fingerprint": old_fingerprint.to_string(),
                "new_fingerprint": new_fingerprint.to_string(),
            }),
            Self::CertRenewalFailed {
                device_id,
                old_fingerprint,
                reason,
            } => json!({
                "device_id": device_id.as_str(),
                "old_fingerprint": old_fingerprint.to_string(),
                "reason": reason,
            }),
            Self::SupersededCertificateUsed {
                device_id,
                old_fingerprint,
            } => json!({
                "device_id": device_id.as_str(),
                "old_fingerprint": old_fingerprint.to_string(),
            }),
            Self::DeviceRevoked {
                device_id,
                revoked_by,
                fingerprint,
            } => json!({
                "device_id": device_id.as_str(),
                "revoked_by": revoked_by,
                "fingerprint": fingerprint.map(|f| f.to_string()),
            }),
            Self::DevicesRead {
                tenant_id,
                device_id,
            } => json!({
                "tenant_id": tenant_id.as_str(),
                "device_id": device_id.as_ref().map(DeviceId::as_str),
            }),
            Self::AuditExported { tenant_id, format } => json!({
                "tenant_id": tenant_id.as_ref().map(TenantId::as_str),
                "format": format,
            }),
            Self::DevicesExported { tenant_id, format } => json!({
                "tenant_id": tenant_id.as_str(),
                "format": format,
            }),
            Self::ChallengeCreated(facts)
            | Self::ChallengeExpired(facts)
            | Self::ChallengeCanceled(facts) => facts.audit_metadata(),
            Self::ChallengeDenied { facts, reason } => {
                with(facts.audit_metadata(), json!({"reason": reason}))
            }
            Self::VerificationComplete {
                facts,
                scores,
                policy_version,
                ..
            } => with(
                facts.audit_metadata(),
                json!({"scores": scores, "policy_version": policy_version}),
            ),
            Self::VerificationFailed {
                facts,
                attempt,
                reason,
                matched_user,
                ..
            } => with(
                facts.audit_metadata(),
                json!({"attempt": attempt, "reason": reason, "matched_user": matched_user}),
            ),
            Self::PalmEnrolled {
                facts,
                palm_id,
                palm_type,
                ..
            } => with(
                facts.audit_metadata(),
                json!({"palm_id": palm_id, "palm_type": palm_type}),
            ),
            Self::PalmDuplicateDetected {
                facts,
                palm_type,
                matched_user,
                policy_version,
                enrolled,
            } => with(
                facts.audit_metadata(),
                json!({
                    "palm_type": palm_type, "matched_user": matched_user,
                    "policy_version": policy_version, "enrolled": enrolled,
                }),
            ),
            Self::PalmEnrollmentFailed {
                facts,
                palm_type,
                reason,
            } => with(
                facts.audit_metadata(),
                json!({"palm_type": palm_type, "reason": reason}),
            ),
            Self::PalmVendorUnauthorized { code } => json!({"code": code}),
            Self::PalmErased { user }
            | Self::UserCreated { user }
            | Self::UserUpdated { user }
            | Self::UserSuspended { user }
            | Self::UserReactivated { user }
            | Self::UserLocked { user }
            | Self::UserUnlocked { user }
            | Self::DataExported { user }
            | Self::ConsentWithdrawn { user } => json!({"user_id": user.internal_id}),
            Self::UserDeleted {
                user,
                erasure_id,
                reason,
            } => json!({
                "user_id": user.internal_id,
                "erasure_id": erasure_id,
                "reason": reason,
            }),
            Self::ErasureCompleted { tombstone, .. } => json!({
                "user_id": tombstone.internal_id,
                "erasure_id": tombstone.erasure_id,
            }),
            Self::ConsentGranted { user, version } => {
                json!({"user_id": user.internal_id, "version": version})
            }
            Self::ServerCertUploaded {
                fingerprint,
                expires_at,
            }
            | Self::PlatformCaGenerated {
                fingerprint,
                expires_at,
            }
            | Self::PlatformCaUploaded {
                fingerprint,
                expires_at,
            }
            | Self::PlatformCaActivated {
                fingerprint,
                expires_at,
            }
            | Self::PlatformCaRetired {
                fingerprint,
                expires_at,
            } => json!({
                "fingerprint": fingerprint.to_string(),
                "expires_at": rfc3339(*expires_at),
            }),
            Self::PlatformCaRegenerated {
                fingerprint,
                expires_at,
                old_fingerprint,
            } => json!({
                "fingerprint": fingerprint.to_string(),
                "expires_at": rfc3339(*expires_at),
                "old_fingerprint": old_fingerprint.to_string(),
            }),
            Self::JobCreated {
                job_id,
                kind,
                target,
                matched,
            } => json!({"job_id": job_id, "kind": kind, "target": target, "matched": matched}),
            Self::JobDeviceFailed {
                job_id,
                device,
                reason,
            } => json!({
                "job_id": job_id, "tenant_id": device.tenant_id(), "device_id": device.device_id(),
                "reason": reason,
            }),
            Self::JobEnded {
                job_id,
                kind,
                count,
                failed,
            } => json!({"job_id": job_id, "kind": kind, "count": count, "failed": failed}),
            Self::DeviceCertsBulkRevoked {
                job_id,
                tenant_id,
                ca_fingerprint,
                count,
                failed,
                revoked_by,
            } => json!({
                "job_id": job_id,
                "tenant_id": tenant_id.as_ref().map(TenantId::as_str),
                "ca_fingerprint": ca_fingerprint.map(|ca| ca.to_string()),
                "count": count,
                "failed": failed,
                "revoked_by": revoked_by,
            }),
            Self::DevicePolicyChanged { policy } => json!({
                "validity_days": policy.validity_days,
                "renewal_window_days": policy.renewal_window_days,
                "clock_skew_seconds": policy.clock_skew_seconds,
            }),
            Self::CertExpiring(expiry) => json!({
                "kind": expiry.kind.as_str(),
                "threshold_days": expiry.threshold.days(),
                "fingerprint": expiry.fingerprint.to_string(),
                "expires_at": rfc3339(expiry.not_after),
            }),
            Self::CertExpiryAlertSent {
                kind,
                channel,
                threshold,
                fingerprint,
                recipient_count,
            } => json!({
                "kind": kind.as_str(),
                "channel": channel,
                "threshold_days": threshold.days(),
                "fingerprint": fingerprint.to_string(),
                "recipient_count": recipient_count,
            }),
            Self::PlatformSecretReplaced { name } => json!({"name": name.as_str()}),
            Self::TenantCreated { tenant_id }
            | Self::TenantUpdated { tenant_id }
            | Self::TenantSuspended { tenant_id }
            | Self::TenantActivated { tenant_id }
            | Self::AuditRead { tenant_id } => json!({"tenant_id": tenant_id.as_str()}),
            Self::TokenKeyPublished { key_id } | Self::TokenKeyActivated { key_id } => {
                json!({"key_id": key_id})
            }
            Self::OauthClientCreated { client_id }
            | Self::OauthClientSecretAdded { client_id }
            | Self::OauthClientKeysReplaced { client_id }
            | Self::OauthClientDeleted { client_id } => json!({"client_id": client_id}),
            Self::ClientAuthFailed { client_id, reason } => {
                json!({"client_id": client_id, "reason": reason})
            }
            Self::TokenIssued {
                client_id,
                scope,
                challenge_id,
            } => {
                let of_client = json!({"client_id": client_id, "scope": scope});
                match challenge_id {
                    Some(challenge_id) => with(of_client, json!({"challenge_id": challenge_id})),
                    None => of_client,
                }
            }
            Self::TokenRevoked { client_id, jti } => {
                json!({"client_id": client_id, "jti": jti})
            }
            Self::LoginAttempt {
                operator_id,
                reason,
            } => {
                json!({"operator_id": operator_id, "reason": reason})
            }
            Self::ConsoleUserCreated { operator_id, role }
            | Self::ConsoleUserUpdated { operator_id, role } => {
                json!({"operator_id": operator_id, "role": role})
            }
            Self::ConsoleUserDeleted { operator_id }
            | Self::ConsoleUserPasswordChanged { operator_id }
            | Self::ConsoleUserRecovered { operator_id }
            | Self::ConsoleUserTotpIssued { operator_id }
            | Self::ConsoleUserTotpConfirmed { operator_id }
            | Self::ConsoleUserTotpRemoved { operator_id }
            | Self::ConsoleUserRecoveryCodeUsed { operator_id }
            | Self::ConsoleUserTotpLocked { operator_id } => {
                json!({"operator_id": operator_id})
            }
            Self::ConsoleUserReauthenticationFailed {
                operator_id,
                session_id,
                reason,
            } => json!({
                "operator_id": operator_id,
                "session_id": session_id,
                "reason": reason,
            }),
            Self::ConsoleUserSessionEnded {
                operator_id,
                session_id,
            } => json!({"operator_id": operator_id, "session_id": session_id}),
            Self::WebhookEndpointCreated { webhook_id }
            | Self::WebhookEndpointUpdated { webhook_id }
            | Self::WebhookEndpointDeleted { webhook_id }
            | Self::WebhookEndpointSecretRotated { webhook_id }
            | Self::WebhookEndpointEnabled { webhook_id }
            | Self::WebhookEndpointTested { webhook_id } => json!({"webhook_id": webhook_id}),
            Self::WebhookEndpointDisabled { webhook_id, reason } => {
                json!({"webhook_id": webhook_id, "reason": reason})
            }
            Self::WebhookEndpointRecovered {
                webhook_id,
                since,
                count,
            } => json!({"webhook_id": webhook_id, "since": rfc3339(*since), "count": count}),
            Self::WebhookDeliveryResent {
                webhook_id,
                delivery_id,
            } => json!({"webhook_id": webhook_id, "delivery_id": delivery_id}),
            Self::OpsAlert { kind } => json!({"kind": kind}),
        }
    }
}

impl ChallengeFacts {
    /// The members that audit rows and webhooks share, with the user under the given id.
    fn with_user(&self, user_id: &str) -> Value {
        json!({
            "challenge_id": self.challenge_id,
            "type": self.kind,
            "user_id": user_id,
            "device_id": self.device_id.as_str(),
            "context": self.context,
            "expires_at": rfc3339(self.expires_at),
        })
    }

    fn audit_metadata(&self) -> Value {
        self.with_user(self.user.internal_id.as_str())
    }

    pub(super) fn webhook_data(&self) -> Value {
        self.with_user(self.user.user_id.as_str())
    }
}

/// `object` with the members of `more`.
pub(super) fn with(mut object: Value, more: Value) -> Value {
    if let (Value::Object(members), Value::Object(more)) = (&mut object, more) {
        members.extend(more);
    }
    object
}

#[cfg(test)]
mod tests {
    use identity_pki::Fingerprint;
    use time::macros::datetime;

    use super::*;
    use crate::DevicePolicy;

    #[test]
    fn what_an_administrator_does_to_tls_names_them_and_what_a_job_does_nobody() {
        let (fingerprint, at) = (
            Fingerprint::from_bytes([1; 32]),
            datetime!(2027-01-01 0:00 UTC),
        );
        let policy = DevicePolicy::default();
        let id = "adm_01j00000000000000000000001";
        let admin = Actor::Operator(id.parse().unwrap());
        let (expires_at, old_fingerprint) = (at, fingerprint);
        for event in [
            Event::ServerCertUploaded {
                fingerprint,
                expires_at,
            },
            Event::PlatformCaGenerated {
                fingerprint,
                expires_at,
            },
            Event::PlatformCaUploaded {
                fingerprint,
                expires_at,
            },
            Event::PlatformCaActivated {
                fingerprint,
                expires_at,
            },
            Event::PlatformCaRegenerated {
                fingerprint,
                expires_at,
                old_fingerprint,
            },
            Event::PlatformCaRetired {
                fingerprint,
                expires_at,
            },
            Event::DevicePolicyChanged { policy },
        ] {
            let told = event.audit_metadata_of(&admin);
            assert_eq!(told["platform_admin_id"], id, "{event:?}");
            let told = event.audit_metadata_of(&Actor::System("job"));
            assert_eq!(told, event.audit_metadata(), "{event:?}");
        }
        let other = Event::OpsAlert { kind: "test" };
        assert_eq!(other.audit_metadata_of(&admin), other.audit_metadata());
    }
}
