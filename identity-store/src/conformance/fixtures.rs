//! What stories are told with: a moment, ids that never repeat, things brought into a state.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use identity_challenge::{ChallengeKind, DeviceBinding, DeviceClass, PalmType};
use identity_pki::{
    DeviceId, DeviceIdentity, Fingerprint, PairingCodeHash, SerialNumber, SpkiSha256, TbsSha256,
    TenantId,
};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use ulid::Ulid;

use super::verdicts::added;
use crate::{
    Actor, AttemptLease, AttemptStart, AttemptVerdict, CertificateRecord, Change, ClientId,
    ConsentMethod, Device, DeviceInfo, IdempotencyKey, NewChallenge, NewConsent, NewDevice,
    NewUser, OperatorId, PairDevice, Paired, PairingOffer, SampleDigest, Store, StoredChallenge,
    StoredVerdict, TenantConfig, User,
};

/// `seconds` after the moment at which every story begins.
pub(super) fn at(seconds: i64) -> OffsetDateTime {
    datetime!(2026-11-22 10:00 UTC) + Duration::seconds(seconds)
}

/// How long fixtures' certificates are valid, in seconds.
pub(super) const VALIDITY: i64 = 90 * 86_400;

/// How long fixtures' pairing codes are good, in seconds.
pub(super) const CODE_LIFE: i64 = 300;

/// A store under test, and a source of ids and digests that never repeat.
#[derive(Debug)]
pub struct World {
    pub(super) store: Arc<dyn Store>,
    drawn: AtomicU64,
}

impl World {
    /// A world around an empty store.
    #[must_use]
    pub fn new(store: impl Store) -> Self {
        Self {
            store: Arc::new(store),
            drawn: AtomicU64::new(0),
        }
    }

    /// A number that was not drawn before.
    pub(super) fn draw(&self) -> u64 {
        self.drawn.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A digest that was not drawn before.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut digest = [0xd1; 32];
        digest[..8].copy_from_slice(&self.draw().to_be_bytes());
        digest
    }

    /// An id of the given kind that was not drawn before. `prefix` is the kind's own.
    pub(super) fn id<I: std::str::FromStr<Err = crate::Error>>(&self, prefix: &str) -> I {
        let ulid = Ulid::from_parts(1_790_000_000_000, self.draw().into());
        let text = format!("{prefix}{}", ulid.to_string().to_ascii_lowercase());
        text.parse().unwrap()
    }

    pub(super) fn request_key(&self) -> IdempotencyKey {
        IdempotencyKey(self.digest())
    }

    /// A change by an operator at the beginning.
    pub(super) fn change(&self) -> Change {
        self.change_at(0)
    }

    /// A change by an operator, `seconds` after the beginning.
    pub(super) fn change_at(&self, seconds: i64) -> Change {
        let operator: OperatorId = self.id("adm_");
        let request_id = format!("req-{}", self.draw());
        Change::new(at(seconds), Actor::Operator(operator), request_id)
            .from_source(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)))
    }

    /// A tenant that is there.
    pub(super) async fn tenant(&self, slug: &str) -> TenantId {
        let tenant_id: TenantId = slug.parse().unwrap();
        let created = self.store.create_tenant(
            self.change(),
            tenant_id.clone(),
            format!("The {slug} company"),
        );
        created.await.unwrap();
        tenant_id
    }

    pub(super) async fn configure(&self, tenant_id: &TenantId, config: TenantConfig) {
        let set = self
            .store
            .set_tenant_config(self.change(), tenant_id, config);
        set.await.unwrap();
    }

    // Devices

    pub(super) fn identity(&self, tenant_id: &TenantId) -> DeviceIdentity {
        let device_id = DeviceId::new(format!("dev_{}", self.draw())).unwrap();
        DeviceIdentity::new(tenant_id.clone(), device_id)
    }

    /// A pairing code that is good for [`CODE_LIFE`] from the beginning.
    pub(super) fn offer(&self) -> PairingOffer {
        PairingOffer {
            code_hash: PairingCodeHash::from_bytes(self.digest()),
            expires_at: at(CODE_LIFE),
        }
    }

    pub(super) fn new_device(&self, tenant_id: &TenantId, name: &str) -> NewDevice {
        NewDevice {
            identity: self.identity(tenant_id),
            name: name.to_owned(),
            location: None,
            binding: DeviceBinding::new(DeviceClass::PersonalScanner, None, None).unwrap(),
            tags: [("floor".to_owned(), "3".to_owned())].into(),
            pairing: self.offer(),
        }
    }

    /// A device that waits to be paired, and its code.
    pub(super) async fn pending_device(
        &self,
        tenant_id: &TenantId,
    ) -> (DeviceIdentity, PairingCodeHash) {
        let new = self.new_device(tenant_id, "Scanner");
        let code = new.pairing.code_hash;
        let device = self.store.create_device(self.change(), new).await.unwrap();
        (device.identity, code)
    }

    /// A certificate of a new key, valid from the beginning for [`VALIDITY`].
    pub(super) fn certificate(&self, identity: &DeviceIdentity) -> CertificateRecord {
        let mut serial = [0x5e; 20];
        serial[..8].copy_from_slice(&self.draw().to_be_bytes());
        serial[0] = 0x01;
        CertificateRecord {
            identity: identity.clone(),
            serial: SerialNumber::from_der_contents(&serial).unwrap(),
            fingerprint: Fingerprint::from_bytes(self.digest()),
            tbs_sha256: TbsSha256::from_bytes(self.digest()),
            spki_sha256: SpkiSha256::from_bytes(self.digest()),
            ca_fingerprint: Fingerprint::from_bytes([0xca; 32]),
            not_before: at(0),
            not_after: at(VALIDITY),
            pem: format!("-----BEGIN CERTIFICATE-----\n{identity}\n"),
        }
    }

    pub(super) fn pairing(
        &self,
        code_hash: PairingCodeHash,
        identity: &DeviceIdentity,
    ) -> PairDevice {
        PairDevice {
            code_hash,
            certificate: self.certificate(identity),
            info: DeviceInfo {
                model: Some("PX-1".to_owned()),
                firmware: Some("1.4.2".to_owned()),
                ..DeviceInfo::default()
            },
        }
    }

    /// A device that was paired at the beginning, and the code it was paired with.
    pub(super) async fn paired_with_code(&self, tenant_id: &TenantId) -> (Device, PairingCodeHash) {
        let (identity, code) = self.pending_device(tenant_id).await;
        let pairing = self.pairing(code, &identity);
        match self.store.pair_device(self.change(), pairing).await {
            Ok(Paired::Now(device)) => (*device, code),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn paired_device(&self, tenant_id: &TenantId) -> Device {
        self.paired_with_code(tenant_id).await.0
    }

    pub(super) async fn device(&self, identity: &DeviceIdentity) -> Device {
        let device = self.store.device(identity, at(0)).await.unwrap();
        device.unwrap()
    }

    // Users

    pub(super) fn new_user(&self, tenant_id: &TenantId, user_id: &str) -> NewUser {
        NewUser {
            tenant_id: tenant_id.clone(),
            user_id: user_id.parse().unwrap(),
            internal_id: self.id("usr_"),
            display_name: Some("Ada".to_owned()),
            email: Some("ada@example.org".to_owned()),
            mobile: None,
        }
    }

    pub(super) async fn user(&self, tenant_id: &TenantId, user_id: &str) -> User {
        let new = self.new_user(tenant_id, user_id);
        self.store.create_user(self.change(), new).await.unwrap()
    }

    /// The user as they are now.
    pub(super) async fn again(&self, user: &User) -> User {
        let user = self.store.user(&user.tenant_id, &user.user_id).await;
        user.unwrap().unwrap()
    }

    pub(super) fn consent(&self, user: &User, granted: bool) -> NewConsent {
        NewConsent {
            tenant_id: user.tenant_id.clone(),
            user_id: user.user_id.clone(),
            version: format!("v{}", self.draw()),
            purposes: vec!["payment".to_owned(), "access".to_owned()],
            granted,
            method: ConsentMethod("checkbox".to_owned()),
        }
    }

    pub(super) async fn consenting_user(&self, tenant_id: &TenantId, user_id: &str) -> User {
        let user = self.user(tenant_id, user_id).await;
        let consent = self.consent(&user, true);
        let recorded = self.store.record_consent(self.change(), consent).await;
        recorded.unwrap();
        self.again(&user).await
    }

    /// A user whose left palm was enrolled at the beginning, at `device`.
    pub(super) async fn enrolled_user(&self, device: &Device, user_id: &str) -> User {
        let user = self
            .consenting_user(device.identity.tenant_id(), user_id)
            .await;
        let challenge = self.open(&user, device, ENROLL_LEFT).await;
        self.attempt(&challenge, 0, added(41)).await;
        self.again(&user).await
    }

    // Challenges

    pub(super) fn new_challenge(
        &self,
        user: &User,
        device: &Device,
        kind: ChallengeKind,
    ) -> NewChallenge {
        NewChallenge {
            tenant_id: user.tenant_id.clone(),
            challenge_id: self.id("ch_"),
            kind,
            user_id: user.user_id.clone(),
            device_id: device.identity.device_id().clone(),
            client_id: Some(self.id::<ClientId>("cli_")),
            context: "Pay 12 EUR".to_owned(),
            metadata: serde_json::json!({"order": 7, "lines": [1.5, "two", null]}),
            display: Some(serde_json::json!({"title": "Pay"})),
            binding_message: Some("BLUE-42".to_owned()),
            client_reference: Some("order-7".to_owned()),
            nonce: format!("nonce-{}", self.draw()),
            ttl: None,
            max_attempts: None,
        }
    }

    /// A challenge that was created at the beginning.
    pub(super) async fn open(
        &self,
        user: &User,
        device: &Device,
        kind: ChallengeKind,
    ) -> StoredChallenge {
        self.open_at(0, user, device, kind).await
    }

    pub(super) async fn open_at(
        &self,
        seconds: i64,
        user: &User,
        device: &Device,
        kind: ChallengeKind,
    ) -> StoredChallenge {
        let new = self.new_challenge(user, device, kind);
        let created = self
            .store
            .create_challenge(self.change_at(seconds), new)
            .await;
        created.unwrap()
    }

    pub(super) async fn challenge(&self, challenge: &StoredChallenge) -> StoredChallenge {
        let read = self
            .store
            .challenge(&challenge.tenant_id, &challenge.challenge_id)
            .await;
        read.unwrap().unwrap()
    }

    /// Sends a sample, `seconds` after the beginning, with a lease of ten seconds.
    pub(super) async fn begin(
        &self,
        challenge: &StoredChallenge,
        seconds: i64,
        sample: SampleDigest,
    ) -> crate::Result<AttemptStart> {
        self.store
            .begin_attempt(
                self.change_at(seconds),
                &challenge.tenant_id,
                &challenge.challenge_id,
                sample,
                at(seconds + LEASE),
            )
            .await
    }

    /// Sends a new sample that is the caller's to decide.
    pub(super) async fn lease(&self, challenge: &StoredChallenge, seconds: i64) -> AttemptLease {
        let sample = SampleDigest(self.digest());
        match self.begin(challenge, seconds, sample).await {
            Ok(AttemptStart::Begun { lease, .. }) => lease,
            other => panic!("{other:?}"),
        }
    }

    /// Sends a new sample and decides it at once.
    pub(super) async fn attempt(
        &self,
        challenge: &StoredChallenge,
        seconds: i64,
        verdict: AttemptVerdict,
    ) -> StoredVerdict {
        let lease = self.lease(challenge, seconds).await;
        let finished = self
            .store
            .finish_attempt(self.change_at(seconds), lease, verdict)
            .await;
        finished.unwrap()
    }
}

/// How long fixtures lease an attempt, in seconds.
pub(super) const LEASE: i64 = 10;

pub(super) const ENROLL_LEFT: ChallengeKind = ChallengeKind::Enroll {
    palm_type: PalmType::Left,
};

pub(super) const ENROLL_RIGHT: ChallengeKind = ChallengeKind::Enroll {
    palm_type: PalmType::Right,
};
