use std::collections::{BTreeMap, BTreeSet, VecDeque};

use identity_challenge::ReasonCode;
use identity_pki::{DeviceIdentity, ExpiryThreshold, Fingerprint, TenantId};
use time::OffsetDateTime;

use super::deliveries::DeliveryRow;
use super::expiry_alerts::ExpiryRow;
use super::second_factor::TotpRow;
use crate::backchannel::AuthRequest;
use crate::{
    ArchiveManifest, AssertionSha256, AuditRow, AuthRequestSha256, BucketKey, CaRecord, Chain,
    ChainHead, ChallengeId, ClientId, Consent, DeniedCertificate, Device, DevicePolicy,
    DeviceStatus, Erasure, ErasureId, IdempotencyKey, Issuance, Job, Lease, LeaseName, NamedSecret,
    OAuthClient, Operator, OperatorId, OutboxEvent, PairingOffer, PalmErasure, PrivateKeyPem,
    RecoveryCodeHash, RenewalGrace, SampleDigest, SealedRow, SecretBytes, ServerCertRecord,
    SessionId, SessionTokenHash, SignInTokenHash, SignedHead, StoredAnswer, StoredChallenge,
    Tenant, TokenKeys, User, UserId, Webhook, WebhookId,
};

/// Everything that is stored.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) device_policy: DevicePolicy,
    pub(super) tenants: BTreeMap<TenantId, Tenant>,
    pub(super) devices: BTreeMap<DeviceIdentity, DeviceRow>,
    pub(super) ledger: Vec<Issuance>,
    pub(super) denials: Vec<DeniedCertificate>,
    pub(super) last_denial: i64,
    pub(super) renewal_graces: BTreeMap<DeviceIdentity, RenewalGrace>,
    /// How far denials were purged.
    pub(super) denials_purged: Option<OffsetDateTime>,
    pub(super) users: BTreeMap<(TenantId, UserId), User>,
    pub(super) consents: BTreeMap<(TenantId, UserId), Vec<Consent>>,
    pub(super) erasures: Vec<ErasureRow>,
    /// Users whose erasure began and is not completed.
    pub(super) erasing: BTreeMap<(TenantId, UserId), (User, ErasureId)>,
    pub(super) user_erasures: BTreeMap<(TenantId, ErasureId), Erasure>,
    pub(super) challenges: BTreeMap<(TenantId, ChallengeId), ChallengeRow>,
    pub(super) auth_requests: BTreeMap<(TenantId, AuthRequestSha256), AuthRequestRow>,
    pub(super) clients: BTreeMap<ClientId, OAuthClient>,
    /// With the moments at which they are over.
    pub(super) revoked_tokens: BTreeMap<(TenantId, String), OffsetDateTime>,
    /// The same.
    pub(super) used_assertions: BTreeMap<(TenantId, ClientId, AssertionSha256), OffsetDateTime>,
    pub(super) operators: BTreeMap<OperatorId, Operator>,
    pub(super) sessions: BTreeMap<SessionId, SessionRow>,
    pub(super) totp: BTreeMap<OperatorId, TotpRow>,
    pub(super) recovery_codes: BTreeSet<(OperatorId, RecoveryCodeHash)>,
    pub(super) sign_ins: BTreeMap<SignInTokenHash, SignInRow>,
    pub(super) login_failures: Vec<(String, OffsetDateTime)>,
    pub(super) server_cert: Option<ServerCertRecord>,
    pub(super) cas: Vec<CaRecord>,
    /// By the fingerprints of their certificates.
    pub(super) private_keys: BTreeMap<Fingerprint, PrivateKeyPem>,
    pub(super) secrets: BTreeMap<NamedSecret, SecretBytes>,
    /// But for the active one, which is among the secrets.
    pub(super) token_keys: TokenKeys,
    /// By the fingerprints of certificates.
    pub(super) expiries: BTreeMap<(Fingerprint, ExpiryThreshold), ExpiryRow>,
    pub(super) answers: BTreeMap<IdempotencyKey, ReservedKey>,
    pub(super) leases: BTreeMap<LeaseName, LeaseRow>,
    pub(super) jobs: Vec<JobRow>,
    pub(super) buckets: BTreeMap<BucketKey, OffsetDateTime>,
    /// Audit rows without a place, in the order of commits.
    pub(super) unsealed: VecDeque<AuditRow>,
    pub(super) chains: BTreeMap<Chain, ChainRow>,
    /// Events without a place, in the order of commits; place and number are 0.
    pub(super) unplaced: VecDeque<OutboxEvent>,
    pub(super) outbox: Vec<OutboxEvent>,
    /// How many events have their place, those that were purged too.
    pub(super) placed: u64,
    /// The last numbers of subjects whose events were purged.
    pub(super) numbers: BTreeMap<(Option<TenantId>, String), u64>,
    pub(super) webhooks: BTreeMap<WebhookId, Webhook>,
    pub(super) deliveries: Vec<DeliveryRow>,
    /// Up to which place events have their deliveries.
    pub(super) fanned_out: u64,
    /// Up to which moment events were purged.
    pub(super) events_purged: Option<OffsetDateTime>,
}

/// A chain: its live rows, where it ends, what was signed and archived of it.
#[derive(Debug, Clone)]
pub(super) struct ChainRow {
    pub(super) live: Vec<SealedRow>,
    pub(super) head: ChainHead,
    pub(super) signed: Option<SignedHead>,
    pub(super) archived: Vec<ArchiveManifest>,
}

/// A device whose status is the stored one: never `expired`.
#[derive(Debug, Clone)]
pub(super) struct DeviceRow {
    pub(super) device: Device,
    /// Kept after it was spent, until the device is renewed, revoked or gets another.
    pub(super) code: Option<PairingOffer>,
}

impl DeviceRow {
    /// The device as it reads at `now`.
    pub(super) fn at(&self, now: OffsetDateTime) -> Device {
        let mut device = self.device.clone();
        device.pairing_expires_at = match device.status {
            DeviceStatus::PendingPairing => self.code.as_ref().map(|code| code.expires_at),
            DeviceStatus::Paired | DeviceStatus::Revoked | DeviceStatus::Expired => None,
        };
        if device.pairing_expires_at.is_some_and(|end| end <= now) {
            device.status = DeviceStatus::Expired;
        }
        device
    }
}

/// A challenge with its attempts, in the order they were started.
#[derive(Debug, Clone)]
pub(super) struct ChallengeRow {
    pub(super) record: StoredChallenge,
    pub(super) attempts: Vec<Attempt>,
}

impl ChallengeRow {
    /// Whether the palm server may hold a template that no outcome told of.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.record.challenge.kind().palm_type().is_some()
            && self
                .attempts
                .iter()
                .any(|attempt| attempt.state.is_in_doubt())
    }
}

/// An authentication request, and its challenge.
#[derive(Debug, Clone)]
pub(super) struct AuthRequestRow {
    pub(super) challenge_id: ChallengeId,
    pub(super) request: AuthRequest,
    /// The challenge's.
    pub(super) expires_at: OffsetDateTime,
    pub(super) notification: Option<SecretBytes>,
    /// When the notification is due.
    pub(super) notify_at: Option<OffsetDateTime>,
    pub(super) notify_tries: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) sample: SampleDigest,
    pub(super) state: AttemptState,
    /// What the device was told of a sample that did not lead to the goal.
    pub(super) reason_code: Option<ReasonCode>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AttemptState {
    /// Being decided, by a lease until then.
    UnderWay { until: OffsetDateTime },
    /// The palm server decided on the sample.
    Decided,
    /// It did not decide, and nothing happened there.
    Undecided,
    /// It did not answer to the end.
    Unknown,
}

impl AttemptState {
    fn is_in_doubt(self) -> bool {
        match self {
            Self::UnderWay { .. } | Self::Unknown => true,
            Self::Decided | Self::Undecided => false,
        }
    }
}

/// A palm that is due for erasure.
#[derive(Debug, Clone)]
pub(super) struct ErasureRow {
    pub(super) erasure: PalmErasure,
    pub(super) claimed_until: Option<OffsetDateTime>,
}

impl ErasureRow {
    /// Until when somebody is erasing the palm, if somebody is at `now`.
    pub(super) fn claim(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        self.claimed_until.filter(|until| now < *until)
    }
}

/// A job, and the last device that it dealt with.
#[derive(Debug, Clone)]
pub(super) struct JobRow {
    pub(super) job: Job,
    pub(super) behind: Option<DeviceIdentity>,
    /// The devices that were chosen with it.
    pub(super) chosen: BTreeSet<DeviceIdentity>,
}

#[derive(Debug, Clone)]
pub(super) struct LeaseRow {
    pub(super) lease: Lease,
    pub(super) renewed_at: OffsetDateTime,
}

#[derive(Debug, Clone)]
pub(super) struct SessionRow {
    pub(super) operator_id: OperatorId,
    pub(super) token_hash: SessionTokenHash,
    pub(super) created_at: OffsetDateTime,
    pub(super) last_used_at: OffsetDateTime,
    pub(super) expires_at: OffsetDateTime,
    /// What it showed wrongly where it was asked again.
    pub(super) failures: u32,
}

/// A sign-in that waits for a code.
#[derive(Debug, Clone)]
pub(super) struct SignInRow {
    pub(super) operator_id: OperatorId,
    pub(super) expires_at: OffsetDateTime,
}

#[derive(Debug, Clone)]
pub(super) struct ReservedKey {
    pub(super) body_sha256: [u8; 32],
    pub(super) lease_until: OffsetDateTime,
    pub(super) keep_until: OffsetDateTime,
    pub(super) answer: Option<StoredAnswer>,
}
