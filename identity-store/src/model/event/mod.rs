//! The catalogue of events: the one place from which audit rows and webhook events are made.

mod audit;
mod catalogue;
mod webhook;

use identity_challenge::{PalmType, ReasonCode};
use identity_pki::{DeviceId, DeviceIdentity, ExpiryKind, ExpiryThreshold, Fingerprint, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::{
    DevicePolicy, DeviceStatus, DisableReason, Expiry, ExpiryMail, NamedSecret, Role, Tombstone,
};
use crate::{
    ChallengeId, ClientId, DeliveryId, ErasureId, InternalUserId, JobId, OperatorId, SessionId,
    UserId, WebhookId,
};

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

/// Why something was refused or raised, in the words of the audit trail.
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
    /// The platform's administrator read devices of a tenant: one, or a page of them.
    DevicesRead {
        tenant_id: TenantId,
        device_id: Option<DeviceId>,
    },
    /// The platform's administrator read a tenant's audit trail: a page of it, or whether it is whole.
    AuditRead {
        tenant_id: TenantId,
    },
    /// An audit trail was exported: the tenant's, or the platform's.
    AuditExported {
        tenant_id: Option<TenantId>,
        format: Reason,
    },
    /// A tenant's devices were read as a file.
    DevicesExported {
        tenant_id: TenantId,
        format: Reason,
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
    /// A failed try, after which `attempt` tries are used. `ended` tells whether it ended the
    /// challenge: only then is a webhook sent. `matched_user` is whose palm it was, for the audit trail alone.
    VerificationFailed {
        facts: ChallengeFacts,
        attempt: u32,
        reason: ReasonCode,
        matched_user: Option<InternalUserId>,
        ended: bool,
    },
    PalmEnrolled {
        facts: ChallengeFacts,
        palm_id: i64,
        palm_type: PalmType,
        at: OffsetDateTime,
    },
    /// A palm that was to be enrolled is another user's too: `enrolled` tells whether it was all the same.
    /// `matched_user` is who that is, for the audit trail alone.
    PalmDuplicateDetected {
        facts: ChallengeFacts,
        palm_type: PalmType,
        matched_user: Option<InternalUserId>,
        policy_version: Option<String>,
        enrolled: bool,
    },
    PalmEnrollmentFailed {
        facts: ChallengeFacts,
        palm_type: PalmType,
        reason: ReasonCode,
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
    /// The user's erasure began.
    UserDeleted {
        user: Subject,
        erasure_id: ErasureId,
        reason: String,
    },
    /// Every store has answered.
    ErasureCompleted {
        tombstone: Tombstone,
        receipt: String,
    },
    /// What is held of a user was exported.
    DataExported {
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
    PlatformCaUploaded {
        fingerprint: Fingerprint,
        expires_at: OffsetDateTime,
    },
    PlatformCaActivated {
        fingerprint: Fingerprint,
        expires_at: OffsetDateTime,
    },
    /// `old_fingerprint` is the CA that was tainted.
    PlatformCaRegenerated {
        fingerprint: Fingerprint,
        expires_at: OffsetDateTime,
        old_fingerprint: Fingerprint,
    },
    PlatformCaRetired {
        fingerprint: Fingerprint,
        expires_at: OffsetDateTime,
    },
    /// `matched` is how many devices the job found.
    JobCreated {
        job_id: JobId,
        kind: &'static str,
        target: String,
        matched: u64,
    },
    /// A job went on behind a device that it failed at again and again.
    JobDeviceFailed {
        job_id: JobId,
        device: DeviceIdentity,
        reason: String,
    },
    /// A job that revokes nothing has ended.
    JobEnded {
        job_id: JobId,
        kind: &'static str,
        count: u64,
        failed: u64,
    },
    /// A bulk revocation has ended: of a tenant's devices, or of those under a CA.
    DeviceCertsBulkRevoked {
        job_id: JobId,
        tenant_id: Option<TenantId>,
        ca_fingerprint: Option<Fingerprint>,
        count: u64,
        failed: u64,
        revoked_by: String,
    },
    DevicePolicyChanged {
        policy: DevicePolicy,
    },
    CertExpiring(Expiry),
    /// Somebody was told through a channel that a certificate of the platform expires.
    CertExpiryAlertSent {
        kind: ExpiryKind,
        channel: &'static str,
        threshold: ExpiryThreshold,
        fingerprint: Fingerprint,
        recipient_count: usize,
    },
    PlatformSecretReplaced {
        name: NamedSecret,
    },
    TokenKeyPublished {
        key_id: String,
    },
    TokenKeyActivated {
        key_id: String,
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
    OauthClientKeysReplaced {
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
        /// The challenge by which its user authenticated, of a token that has one.
        challenge_id: Option<ChallengeId>,
    },
    TokenRevoked {
        client_id: ClientId,
        jti: String,
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
    /// Whoever has the database and its data key let a platform administrator in again.
    ConsoleUserRecovered {
        operator_id: OperatorId,
    },
    ConsoleUserTotpIssued {
        operator_id: OperatorId,
    },
    ConsoleUserTotpConfirmed {
        operator_id: OperatorId,
    },
    ConsoleUserTotpRemoved {
        operator_id: OperatorId,
    },
    ConsoleUserRecoveryCodeUsed {
        operator_id: OperatorId,
    },
    /// No code of the authenticator is good any more: too many were wrong in a row.
    ConsoleUserTotpLocked {
        operator_id: OperatorId,
    },
    ConsoleUserReauthenticationFailed {
        operator_id: OperatorId,
        session_id: SessionId,
        reason: Reason,
    },
    ConsoleUserSessionEnded {
        operator_id: OperatorId,
        session_id: SessionId,
    },
    WebhookEndpointCreated {
        webhook_id: WebhookId,
    },
    WebhookEndpointUpdated {
        webhook_id: WebhookId,
    },
    WebhookEndpointDeleted {
        webhook_id: WebhookId,
    },
    WebhookEndpointSecretRotated {
        webhook_id: WebhookId,
    },
    WebhookEndpointEnabled {
        webhook_id: WebhookId,
    },
    WebhookEndpointDisabled {
        webhook_id: WebhookId,
        reason: DisableReason,
    },
    WebhookEndpointTested {
        webhook_id: WebhookId,
    },
    /// `count` events since `since` are sent that were not delivered.
    WebhookEndpointRecovered {
        webhook_id: WebhookId,
        since: OffsetDateTime,
        count: u64,
    },
    WebhookDeliveryResent {
        webhook_id: WebhookId,
        delivery_id: DeliveryId,
    },
    OpsAlert {
        kind: Reason,
    },
}

impl Event {
    /// That mail was sent of an expiry.
    pub(crate) fn expiry_mail_sent(mail: &ExpiryMail) -> Self {
        Self::CertExpiryAlertSent {
            kind: mail.expiry.kind,
            channel: "email",
            threshold: mail.expiry.threshold,
            fingerprint: mail.expiry.fingerprint,
            recipient_count: mail.recipients.len(),
        }
    }

    /// That an endpoint was disabled because nothing reached it.
    pub(crate) fn webhook_disabled_alert() -> Self {
        Self::OpsAlert {
            kind: "webhook_disabled",
        }
    }

    /// That an expiry is told to so many endpoints.
    pub(crate) fn expiry_webhooks_sent(expiry: &Expiry, recipient_count: usize) -> Self {
        Self::CertExpiryAlertSent {
            kind: expiry.kind,
            channel: "webhook",
            threshold: expiry.threshold,
            fingerprint: expiry.fingerprint,
            recipient_count,
        }
    }
}
