//! The catalogue of events: the one place from which audit rows and webhook events are made.

use identity_challenge::PalmType;
use identity_pki::{DeviceId, Fingerprint, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{DeviceStatus, Role};
use crate::time_format::rfc3339;
use crate::{ChallengeId, ClientId, InternalUserId, OperatorId, UserId};

/// Whether what an audit row tells of succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It did.
    Succeeded,
    /// It did not.
    Failed,
}

/// How much an audit row matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The daily course.
    Info,
    /// Worth a look.
    High,
    /// Somebody has to act.
    Critical,
}

/// A user in an event: audit rows show `internal_id`, webhooks `user_id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// How the integrator knows the user.
    pub user_id: UserId,
    /// How audit rows know the user.
    pub internal_id: InternalUserId,
}

/// What a challenge's events tell of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ChallengeFacts {
    /// Which challenge.
    pub challenge_id: ChallengeId,
    /// `verify` or `enroll`.
    pub kind: &'static str,
    /// Of whom.
    pub user: Subject,
    /// At which device.
    pub device_id: DeviceId,
    /// What for.
    pub context: String,
    /// Until when it is open.
    pub expires_at: OffsetDateTime,
}

/// Why a verification or an enrolment failed, in the words of the audit trail.
pub type Reason = &'static str;

/// Something that happened, as the audit trail and the webhooks tell it (contract §10).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "the contract's table names each event and each field"
)]
pub enum Event {
    DeviceCreated {
        device_id: DeviceId,
        status: DeviceStatus,
    },
    DeviceUpdated {
        device_id: DeviceId,
        status: DeviceStatus,
    },
    PairingCodeIssued {
        device_id: DeviceId,
        status: DeviceStatus,
    },
    DevicePaired {
        device_id: DeviceId,
        fingerprint: Fingerprint,
    },
    PairingRefused,
    CertRenewed {
        device_id: DeviceId,
        old_fingerprint: Fingerprint,
        new_fingerprint: Fingerprint,
    },
    CertRenewalFailed {
        device_id: DeviceId,
        old_fingerprint: Fingerprint,
        reason: Reason,
    },
    SupersededCertificateUsed {
        device_id: DeviceId,
        old_fingerprint: Fingerprint,
    },
    DeviceRevoked {
        device_id: DeviceId,
        revoked_by: String,
        fingerprint: Option<Fingerprint>,
    },
    ChallengeCreated(ChallengeFacts),
    ChallengeExpired(ChallengeFacts),
    ChallengeCanceled(ChallengeFacts),
    ChallengeDenied {
        facts: ChallengeFacts,
        reason: String,
    },
    VerificationComplete {
        facts: ChallengeFacts,
        scores: [f64; 4],
        policy_version: Option<String>,
        at: OffsetDateTime,
        metadata: Value,
        receipt: Option<String>,
    },
    /// A failed try. `ended` tells whether it ended the challenge: only then is a webhook sent.
    VerificationFailed {
        facts: ChallengeFacts,
        attempt: u32,
        reason: Reason,
        matched_user: Option<UserId>,
        ended: bool,
    },
    PalmEnrolled {
        facts: ChallengeFacts,
        palm_id: i64,
        palm_type: PalmType,
        at: OffsetDateTime,
    },
    PalmEnrollmentFailed {
        facts: ChallengeFacts,
        palm_type: PalmType,
        reason: Reason,
    },
    PalmVendorUnauthorized {
        code: i64,
    },
    PalmErased {
        user: Subject,
    },
    UserCreated {
        user: Subject,
    },
    UserUpdated {
        user: Subject,
    },
    UserSuspended {
        user: Subject,
    },
    UserReactivated {
        user: Subject,
    },
    UserLocked {
        user: Subject,
    },
    UserUnlocked {
        user: Subject,
    },
    ConsentGranted {
        user: Subject,
        version: String,
    },
    ConsentWithdrawn {
        user: Subject,
    },
    ServerCertUploaded {
        fingerprint: Fingerprint,
        expires_at: OffsetDateTime,
    },
    PlatformCaGenerated {
        fingerprint: Fingerprint,
        expires_at: OffsetDateTime,
    },
    TenantCreated {
        tenant_id: TenantId,
    },
    TenantUpdated {
        tenant_id: TenantId,
    },
    TenantSuspended {
        tenant_id: TenantId,
    },
    TenantActivated {
        tenant_id: TenantId,
    },
    OauthClientCreated {
        client_id: ClientId,
    },
    OauthClientSecretAdded {
        client_id: ClientId,
    },
    OauthClientDeleted {
        client_id: ClientId,
    },
    ClientAuthFailed {
        client_id: String,
        reason: Reason,
    },
    TokenIssued {
        client_id: ClientId,
        scope: String,
    },
    LoginAttempt {
        operator_id: Option<OperatorId>,
        reason: Option<Reason>,
    },
    ConsoleUserCreated {
        operator_id: OperatorId,
        role: Role,
    },
    ConsoleUserUpdated {
        operator_id: OperatorId,
        role: Role,
    },
    ConsoleUserDeleted {
        operator_id: OperatorId,
    },
    ConsoleUserPasswordChanged {
        operator_id: OperatorId,
    },
    OpsAlert {
        kind: Reason,
    },
}

impl Event {
    /// The event's name in the audit trail.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::DeviceCreated { .. } => "device_created",
            Self::DeviceUpdated { .. } => "device_updated",
            Self::PairingCodeIssued { .. } => "pairing_code_issued",
            Self::DevicePaired { .. } | Self::PairingRefused => "device_paired",
            Self::CertRenewed { .. } => "cert_renewed",
            Self::CertRenewalFailed { .. } => "cert_renewal_failed",
            Self::SupersededCertificateUsed { .. } => "superseded_certificate_used",
            Self::DeviceRevoked { .. } => "device_revoked",
            Self::ChallengeCreated(_) => "challenge_created",
            Self::ChallengeExpired(_) => "challenge_expired",
            Self::ChallengeCanceled(_) => "challenge_canceled",
            Self::ChallengeDenied { .. } => "challenge_denied",
            Self::VerificationComplete { .. } => "verification_complete",
            Self::VerificationFailed { .. } => "verification_failed",
            Self::PalmEnrolled { .. } => "palm_enrolled",
            Self::PalmEnrollmentFailed { .. } => "palm_enrollment_failed",
            Self::PalmVendorUnauthorized { .. } => "palm_vendor_unauthorized",
            Self::PalmErased { .. } => "palm_erased",
            Self::UserCreated { .. } => "user_created",
            Self::UserUpdated { .. } => "user_updated",
            Self::UserSuspended { .. } => "user_suspended",
            Self::UserReactivated { .. } => "user_reactivated",
            Self::UserLocked { .. } => "user_locked",
            Self::UserUnlocked { .. } => "user_unlocked",
            Self::ConsentGranted { .. } => "consent_granted",
            Self::ConsentWithdrawn { .. } => "consent_withdrawn",
            Self::ServerCertUploaded { .. } => "server_cert_uploaded",
            Self::PlatformCaGenerated { .. } => "platform_ca_generated",
            Self::TenantCreated { .. } => "tenant_created",
            Self::TenantUpdated { .. } => "tenant_updated",
            Self::TenantSuspended { .. } => "tenant_suspended",
            Self::TenantActivated { .. } => "tenant_activated",
            Self::OauthClientCreated { .. } => "oauth_client_created",
            Self::OauthClientSecretAdded { .. } => "oauth_client_secret_added",
            Self::OauthClientDeleted { .. } => "oauth_client_deleted",
            Self::ClientAuthFailed { .. } => "client_auth_failed",
            Self::TokenIssued { .. } => "token_issued",
            Self::LoginAttempt { .. } => "login_attempt",
            Self::ConsoleUserCreated { .. } => "console_user_created",
            Self::ConsoleUserUpdated { .. } => "console_user_updated",
            Self::ConsoleUserDeleted { .. } => "console_user_deleted",
            Self::ConsoleUserPasswordChanged { .. } => "console_user_password_changed",
            Self::OpsAlert { .. } => "ops_alert",
        }
    }

    /// The dotted name under which webhooks carry the event; `None` for what stays in the audit
    /// trail, and for a failed try that does not end its challenge.
    #[must_use]
    pub fn webhook_type(&self) -> Option<&'static str> {
        match self {
            Self::DeviceCreated { .. } => Some("device.created"),
            Self::DeviceUpdated { .. } => Some("device.updated"),
            Self::DevicePaired { .. } => Some("device.paired"),
            Self::CertRenewed { .. } => Some("device.renewed"),
            Self::DeviceRevoked { .. } => Some("device.revoked"),
            Self::ChallengeCreated(_) => Some("challenge.created"),
            Self::ChallengeExpired(_) => Some("challenge.expired"),
            Self::ChallengeCanceled(_) => Some("challenge.canceled"),
            Self::ChallengeDenied { .. } => Some("challenge.denied"),
            Self::VerificationComplete { .. } => Some("verification.complete"),
            Self::VerificationFailed { ended: true, .. } => Some("verification.failed"),
            Self::PalmEnrolled { .. } => Some("enrollment.complete"),
            Self::PalmEnrollmentFailed { .. } => Some("enrollment.failed"),
            Self::UserCreated { .. } => Some("user.created"),
            Self::UserUpdated { .. } => Some("user.updated"),
            Self::UserSuspended { .. } => Some("user.suspended"),
            Self::UserReactivated { .. } => Some("user.reactivated"),
            Self::UserLocked { .. } => Some("user.locked"),
            Self::UserUnlocked { .. } => Some("user.unlocked"),
            Self::ConsentGranted { .. } => Some("consent.granted"),
            Self::ConsentWithdrawn { .. } => Some("consent.withdrawn"),
            Self::OpsAlert { .. } => Some("platform.ops_alert"),
            Self::PairingCodeIssued { .. }
            | Self::PairingRefused
            | Self::CertRenewalFailed { .. }
            | Self::SupersededCertificateUsed { .. }
            | Self::VerificationFailed { ended: false, .. }
            | Self::PalmVendorUnauthorized { .. }
            | Self::PalmErased { .. }
            | Self::ServerCertUploaded { .. }
            | Self::PlatformCaGenerated { .. }
            | Self::TenantCreated { .. }
            | Self::TenantUpdated { .. }
            | Self::TenantSuspended { .. }
            | Self::TenantActivated { .. }
            | Self::OauthClientCreated { .. }
            | Self::OauthClientSecretAdded { .. }
            | Self::OauthClientDeleted { .. }
            | Self::ClientAuthFailed { .. }
            | Self::TokenIssued { .. }
            | Self::LoginAttempt { .. }
            | Self::ConsoleUserCreated { .. }
            | Self::ConsoleUserUpdated { .. }
            | Self::ConsoleUserDeleted { .. }
            | Self::ConsoleUserPasswordChanged { .. } => None,
        }
    }

    /// Whether it tells of a success.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::PairingRefused
            | Self::CertRenewalFailed { .. }
            | Self::SupersededCertificateUsed { .. }
            | Self::VerificationFailed { .. }
            | Self::PalmEnrollmentFailed { .. }
            | Self::PalmVendorUnauthorized { .. }
            | Self::ClientAuthFailed { .. }
            | Self::LoginAttempt {
                reason: Some(_), ..
            }
            | Self::OpsAlert { .. } => Outcome::Failed,
            _ => Outcome::Succeeded,
        }
    }

    /// How much it matters.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::SupersededCertificateUsed { .. }
            | Self::VerificationFailed {
                reason: "identity_mismatch",
                ..
            }
            | Self::PalmEnrollmentFailed {
                reason: "duplicate_biometrics",
                ..
            } => Severity::High,
            Self::PalmVendorUnauthorized { .. } | Self::OpsAlert { .. } => Severity::Critical,
            _ => Severity::Info,
        }
    }

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
            | Self::PalmEnrollmentFailed { facts, .. } => facts.challenge_id.to_string(),
            Self::PalmErased { user }
            | Self::UserCreated { user }
            | Self::UserUpdated { user }
            | Self::UserSuspended { user }
            | Self::UserReactivated { user }
            | Self::UserLocked { user }
            | Self::UserUnlocked { user }
            | Self::ConsentGranted { user, .. }
            | Self::ConsentWithdrawn { user } => user_id(user).to_owned(),
            Self::ServerCertUploaded { .. } => "server_cert".to_owned(),
            Self::PlatformCaGenerated { .. } => "platform_ca".to_owned(),
            Self::TenantCreated { tenant_id }
            | Self::TenantUpdated { tenant_id }
            | Self::TenantSuspended { tenant_id }
            | Self::TenantActivated { tenant_id } => tenant_id.to_string(),
            Self::OauthClientCreated { client_id }
            | Self::OauthClientSecretAdded { client_id }
            | Self::OauthClientDeleted { client_id }
            | Self::TokenIssued { client_id, .. } => client_id.to_string(),
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
            | Self::ConsoleUserPasswordChanged { operator_id } => operator_id.to_string(),
            Self::PalmVendorUnauthorized { .. } => "palm_server".to_owned(),
            Self::OpsAlert { kind } => (*kind).to_owned(),
        }
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
            | Self::ConsentWithdrawn { user } => json!({"user_id": user.internal_id}),
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
            } => json!({
                "fingerprint": fingerprint.to_string(),
                "expires_at": rfc3339(*expires_at),
            }),
            Self::TenantCreated { tenant_id }
            | Self::TenantUpdated { tenant_id }
            | Self::TenantSuspended { tenant_id }
            | Self::TenantActivated { tenant_id } => json!({"tenant_id": tenant_id.as_str()}),
            Self::OauthClientCreated { client_id }
            | Self::OauthClientSecretAdded { client_id }
            | Self::OauthClientDeleted { client_id } => json!({"client_id": client_id}),
            Self::ClientAuthFailed { client_id, reason } => {
                json!({"client_id": client_id, "reason": reason})
            }
            Self::TokenIssued { client_id, scope } => {
                json!({"client_id": client_id, "scope": scope})
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
            | Self::ConsoleUserPasswordChanged { operator_id } => {
                json!({"operator_id": operator_id})
            }
            Self::OpsAlert { kind } => json!({"kind": kind}),
        }
    }

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
            Self::UserCreated { user }
            | Self::UserUpdated { user }
            | Self::UserSuspended { user }
            | Self::UserReactivated { user }
            | Self::UserLocked { user }
            | Self::UserUnlocked { user }
            | Self::ConsentWithdrawn { user } => json!({"user_id": user.user_id}),
            Self::ConsentGranted { user, version } => {
                json!({"user_id": user.user_id, "version": version})
            }
            _ => self.audit_metadata(),
        }
    }
}

impl ChallengeFacts {
    fn audit_metadata(&self) -> Value {
        self.metadata_with(self.user.internal_id.as_str())
    }

    fn webhook_data(&self) -> Value {
        self.metadata_with(self.user.user_id.as_str())
    }

    fn metadata_with(&self, user_id: &str) -> Value {
        json!({
            "challenge_id": self.challenge_id,
            "type": self.kind,
            "user_id": user_id,
            "device_id": self.device_id.as_str(),
            "context": self.context,
            "expires_at": rfc3339(self.expires_at),
        })
    }
}

/// `object` with the members of `more`.
fn with(mut object: Value, more: Value) -> Value {
    if let (Value::Object(members), Value::Object(more)) = (&mut object, more) {
        members.extend(more);
    }
    object
}
