//! Random lists of operations, told to several back ends: each has to answer as the model does.

use std::fmt::Debug;

use identity_challenge::{CancelReason, ChallengeKind, PalmType};
use identity_pki::{DeviceIdentity, PairingCodeHash, TenantId};
use time::OffsetDateTime;

use super::fixtures::{LEASE, World, at};
use super::verdicts::{added, matched, not_found, undecided};
use crate::{
    AttemptLease, AttemptStart, CertificateRecord, Chain, ChallengeFilter, ChallengeStep, Change,
    DeviceFilter, PageRequest, PairingOffer, RenewDevice, SampleDigest, Store, StoredChallenge,
    TenantConfig, TenantStatus, User, VendorState,
};

/// Something that somebody does. Numbers choose among what is there, from the beginning again when
/// they are beyond its end.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names of the traits' methods")]
pub enum Operation {
    CreateTenant,
    SuspendTenant {
        tenant: u8,
        suspended: bool,
    },
    SilenceTenant {
        tenant: u8,
        silent: bool,
    },
    CreateDevice {
        tenant: u8,
    },
    IssueCode {
        device: u8,
        replace: bool,
    },
    Pair {
        device: u8,
        wrong_code: bool,
        same_key: bool,
    },
    Renew {
        device: u8,
        presented: u8,
    },
    EndGrace {
        device: u8,
        superseded: u8,
    },
    Revoke {
        device: u8,
    },
    CreateUser {
        tenant: u8,
    },
    Suspend {
        user: u8,
        suspended: bool,
    },
    RecordConsent {
        user: u8,
        granted: bool,
    },
    WithdrawConsent {
        user: u8,
    },
    ClearLock {
        user: u8,
    },
    CreateChallenge {
        user: u8,
        device: u8,
        kind: u8,
    },
    Step {
        challenge: u8,
        step: u8,
    },
    Begin {
        challenge: u8,
        sample: u8,
    },
    Finish {
        lease: u8,
        verdict: u8,
    },
    ExpireChallenges,
    Seal {
        limit: u8,
    },
    Wait {
        seconds: u8,
    },
}

/// Tells `operations` to an empty store; returns what it answered to each, and what it holds at the
/// end. What a back end draws by itself, such as ids of audit rows, is left out.
pub async fn transcript(store: impl Store, operations: &[Operation]) -> Vec<String> {
    let mut play = Play::new(World::new(store));
    let mut answers = Vec::new();
    for operation in operations {
        let answer = play.perform(operation).await;
        answers.push(format!("{operation:?}: {answer}"));
    }
    answers.extend(play.holds().await);
    answers
}

struct Play {
    world: World,
    seconds: i64,
    tenants: Vec<TenantId>,
    devices: Vec<(DeviceIdentity, PairingCodeHash)>,
    certificates: Vec<CertificateRecord>,
    users: Vec<User>,
    challenges: Vec<StoredChallenge>,
    leases: Vec<AttemptLease>,
}

fn choose<T: Clone>(from: &[T], number: u8) -> Option<T> {
    let index = usize::from(number).checked_rem(from.len())?;
    from.get(index).cloned()
}

fn told<T: Debug>(answer: crate::Result<T>) -> String {
    match answer {
        Ok(done) => format!("{done:?}"),
        Err(refused) => format!("refused: {refused:?}"),
    }
}

const NOTHING: &str = "there is none";

impl Play {
    fn new(world: World) -> Self {
        Self {
            world,
            seconds: 0,
            tenants: Vec::new(),
            devices: Vec::new(),
            certificates: Vec::new(),
            users: Vec::new(),
            challenges: Vec::new(),
            leases: Vec::new(),
        }
    }

    fn now(&self) -> OffsetDateTime {
        at(self.seconds)
    }

    fn change(&self) -> Change {
        self.world.change_at(self.seconds)
    }

    fn store(&self) -> &dyn Store {
        &*self.world.store
    }

    async fn perform(&mut self, operation: &Operation) -> String {
        match *operation {
            Operation::Wait { seconds } => {
                self.seconds += i64::from(seconds);
                String::new()
            }
            Operation::CreateTenant
            | Operation::SuspendTenant { .. }
            | Operation::SilenceTenant { .. } => self.tenant(operation).await,
            Operation::CreateDevice { .. }
            | Operation::IssueCode { .. }
            | Operation::Pair { .. }
            | Operation::Renew { .. }
            | Operation::EndGrace { .. }
            | Operation::Revoke { .. } => self.device(operation).await,
            Operation::CreateUser { .. }
            | Operation::Suspend { .. }
            | Operation::RecordConsent { .. }
            | Operation::WithdrawConsent { .. }
            | Operation::ClearLock { .. } => self.user(operation).await,
            Operation::CreateChallenge { .. }
            | Operation::Step { .. }
            | Operation::Begin { .. }
            | Operation::Finish { .. } => self.challenge(operation).await,
            Operation::ExpireChallenges => {
                told(self.store().expire_challenges(self.change(), 2).await)
            }
            Operation::Seal { limit } => told(self.store().seal_audit(u32::from(limit)).await),
        }
    }

    async fn tenant(&mut self, operation: &Operation) -> String {
        match *operation {
            Operation::SuspendTenant { tenant, suspended } => {
                let Some(tenant) = choose(&self.tenants, tenant) else {
                    return NOTHING.to_owned();
                };
                let status = match suspended {
                    true => TenantStatus::Suspended,
                    false => TenantStatus::Active,
                };
                let set = self
                    .store()
                    .set_tenant_status(self.change(), &tenant, status);
                told(set.await)
            }
            Operation::SilenceTenant { tenant, silent } => {
                let Some(tenant) = choose(&self.tenants, tenant) else {
                    return NOTHING.to_owned();
                };
                let config = TenantConfig {
                    audit_enabled: !silent,
                    renewal_grace_seconds: if silent { 60 } else { 0 },
                    ..TenantConfig::default()
                };
                told(
                    self.store()
                        .set_tenant_config(self.change(), &tenant, config)
                        .await,
                )
            }
            _ => {
                let slug = format!("tenant-{}", self.tenants.len() % 3);
                let tenant_id: TenantId = slug.parse().unwrap();
                let created = self
                    .store()
                    .create_tenant(self.change(), tenant_id.clone(), slug);
                let answer = told(created.await);
                self.tenants.push(tenant_id);
                answer
            }
        }
    }

    async fn device(&mut self, operation: &Operation) -> String {
        if let Operation::CreateDevice { tenant } = *operation {
            let Some(tenant) = choose(&self.tenants, tenant) else {
                return NOTHING.to_owned();
            };
            let mut new = self.world.new_device(&tenant, "Scanner");
            new.pairing.expires_at = at(self.seconds + 300);
            self.devices
                .push((new.identity.clone(), new.pairing.code_hash));
            return told(self.store().create_device(self.change(), new).await);
        }
        let number = match *operation {
            Operation::IssueCode { device, .. }
            | Operation::Pair { device, .. }
            | Operation::Renew { device, .. }
            | Operation::EndGrace { device, .. }
            | Operation::Revoke { device } => device,
            _ => return NOTHING.to_owned(),
        };
        let Some((identity, code)) = choose(&self.devices, number) else {
            return NOTHING.to_owned();
        };
        match *operation {
            Operation::IssueCode { replace, .. } => {
                let offer = PairingOffer {
                    code_hash: PairingCodeHash::from_bytes(self.world.digest()),
                    expires_at: at(self.seconds + 300),
                };
                self.devices.push((identity.clone(), offer.code_hash));
                let issued =
                    self.store()
                        .issue_pairing_code(self.change(), &identity, offer, replace);
                told(issued.await.map(|mut issued| {
                    issued
                        .denied
                        .iter_mut()
                        .for_each(|denied| denied.sequence = 0);
                    issued
                }))
            }
            Operation::Pair {
                wrong_code,
                same_key,
                ..
            } => {
                let code = match wrong_code {
                    true => PairingCodeHash::from_bytes([0; 32]),
                    false => code,
                };
                let mut pairing = self.world.pairing(code, &identity);
                if let (true, Some(earlier)) = (same_key, self.certificates.last()) {
                    pairing.certificate.spki_sha256 = earlier.spki_sha256;
                }
                self.certificates.push(pairing.certificate.clone());
                told(self.store().pair_device(self.change(), pairing).await)
            }
            Operation::EndGrace { superseded, .. } => {
                let Some(superseded) = choose(&self.certificates, superseded) else {
                    return NOTHING.to_owned();
                };
                let (store, change) = (self.store(), self.change());
                let ended = store.end_renewal_grace(change, &identity, &superseded.tbs_sha256);
                told(
                    ended
                        .await
                        .map(|ended| ended.map(|denied| denied.tbs_sha256)),
                )
            }
            Operation::Renew { presented, .. } => {
                let certificate = self.world.certificate(&identity);
                let Some(presented) = choose(&self.certificates, presented) else {
                    return NOTHING.to_owned();
                };
                self.certificates.push(certificate.clone());
                let renewal = RenewDevice {
                    presented: presented.tbs_sha256,
                    certificate,
                };
                let renewed = self.store().renew_device(self.change(), renewal).await;
                told(renewed.map(|mut renewed| {
                    for denied in &mut renewed.denied {
                        denied.sequence = 0;
                    }
                    renewed
                }))
            }
            _ => {
                let revoked = self.store().revoke_device(self.change(), &identity).await;
                told(revoked.map(|mut revoked| {
                    revoked
                        .denied
                        .iter_mut()
                        .for_each(|denied| denied.sequence = 0);
                    revoked
                }))
            }
        }
    }

    async fn user(&mut self, operation: &Operation) -> String {
        if let Operation::CreateUser { tenant } = *operation {
            let Some(tenant) = choose(&self.tenants, tenant) else {
                return NOTHING.to_owned();
            };
            let name = format!("user-{}", self.users.len() % 4);
            let new = self.world.new_user(&tenant, &name);
            let created = self.store().create_user(self.change(), new).await;
            self.users.extend(created.as_ref().ok().cloned());
            return told(created);
        }
        let number = match *operation {
            Operation::Suspend { user, .. }
            | Operation::RecordConsent { user, .. }
            | Operation::WithdrawConsent { user }
            | Operation::ClearLock { user } => user,
            _ => return NOTHING.to_owned(),
        };
        let Some(user) = choose(&self.users, number) else {
            return NOTHING.to_owned();
        };
        let (change, tenant_id, user_id) = (self.change(), &user.tenant_id, &user.user_id);
        match *operation {
            Operation::Suspend { suspended, .. } => {
                let set = self
                    .store()
                    .set_user_suspended(change, tenant_id, user_id, suspended);
                told(set.await)
            }
            Operation::RecordConsent { granted, .. } => {
                let consent = self.world.consent(&user, granted);
                told(self.store().record_consent(change, consent).await)
            }
            Operation::WithdrawConsent { .. } => told(
                self.store()
                    .withdraw_consent(change, tenant_id, user_id)
                    .await,
            ),
            _ => told(self.store().clear_lock(change, tenant_id, user_id).await),
        }
    }

    async fn challenge(&mut self, operation: &Operation) -> String {
        match *operation {
            Operation::CreateChallenge { user, device, kind } => {
                self.create_challenge(user, device, kind).await
            }
            Operation::Step { challenge, step } => {
                let Some(challenge) = choose(&self.challenges, challenge) else {
                    return NOTHING.to_owned();
                };
                let step = match step % 3 {
                    0 => ChallengeStep::Claim,
                    1 => ChallengeStep::Deny {
                        reason: "no_user".to_owned(),
                    },
                    _ => ChallengeStep::Cancel(CancelReason::Integrator),
                };
                let (tenant_id, challenge_id) = (&challenge.tenant_id, &challenge.challenge_id);
                let change = self.change();
                told(
                    self.store()
                        .transition_challenge(change, tenant_id, challenge_id, step)
                        .await,
                )
            }
            Operation::Begin { challenge, sample } => {
                let Some(challenge) = choose(&self.challenges, challenge) else {
                    return NOTHING.to_owned();
                };
                let begun = self.store().begin_attempt(
                    self.change(),
                    &challenge.tenant_id,
                    &challenge.challenge_id,
                    SampleDigest([sample; 32]),
                    at(self.seconds + LEASE),
                );
                let begun = begun.await;
                if let Ok(AttemptStart::Begun { lease, .. }) = &begun {
                    self.leases.push(lease.clone());
                }
                told(begun)
            }
            Operation::Finish { lease, verdict } => {
                let Some(lease) = choose(&self.leases, lease) else {
                    return NOTHING.to_owned();
                };
                let verdict = match verdict % 5 {
                    0 => matched(),
                    1 => not_found(),
                    2 => added(7),
                    3 => undecided(VendorState::Unknown),
                    _ => undecided(VendorState::NotReached),
                };
                told(
                    self.store()
                        .finish_attempt(self.change(), lease, verdict)
                        .await,
                )
            }
            _ => NOTHING.to_owned(),
        }
    }

    async fn create_challenge(&mut self, user: u8, device: u8, kind: u8) -> String {
        let (Some(user), Some((identity, _))) =
            (choose(&self.users, user), choose(&self.devices, device))
        else {
            return NOTHING.to_owned();
        };
        let device = match self.store().device(&identity, self.now()).await {
            Ok(Some(device)) => device,
            other => return told(other),
        };
        let kind = match kind % 3 {
            0 => ChallengeKind::Verify,
            1 => ChallengeKind::Enroll {
                palm_type: PalmType::Left,
            },
            _ => ChallengeKind::Enroll {
                palm_type: PalmType::Right,
            },
        };
        let new = self.world.new_challenge(&user, &device, kind);
        let created = self.store().create_challenge(self.change(), new).await;
        self.challenges.extend(created.as_ref().ok().cloned());
        told(created)
    }

    /// Everything that a back end holds at the end.
    async fn holds(&self) -> Vec<String> {
        let mut held = Vec::new();
        let page = || PageRequest {
            limit: 200,
            after: None,
        };
        held.push(told(self.store().tenants(page()).await));
        for tenant in &self.tenants {
            let filter = DeviceFilter::all(self.now());
            held.push(told(self.store().devices(tenant, filter, page()).await));
            held.push(told(self.store().users(tenant, page()).await));
            let filter = ChallengeFilter::default();
            held.push(told(self.store().challenges(tenant, filter, page()).await));
        }
        for (identity, _) in &self.devices {
            held.push(told(self.store().device_work(identity, self.now()).await));
        }
        for user in &self.users {
            held.push(told(
                self.store().consents(&user.tenant_id, &user.user_id).await,
            ));
        }
        held.push(told(self.store().due_palm_erasures(100).await));
        let mut denials = self.store().denials(0, 1000).await.unwrap();
        denials.iter_mut().for_each(|denied| denied.sequence = 0);
        held.push(format!("{denials:?}"));
        held.extend(self.told_of().await);
        held
    }

    /// The audit trail and the outbox.
    async fn told_of(&self) -> Vec<String> {
        while self.store().seal_audit(100).await.unwrap().is_full(100) {}
        let mut told_of = Vec::new();
        let tenants = self.tenants.iter().cloned().map(Chain::Tenant);
        for chain in tenants.chain([Chain::Platform]) {
            let rows = self.store().sealed_audit(&chain, 0, 1000).await.unwrap();
            let row = |sealed: crate::SealedRow| {
                let row = sealed.row;
                let said = (row.at, row.action, row.outcome, row.severity, row.subject);
                format!("{chain:?} {said:?} {:?}", row.metadata)
            };
            told_of.extend(rows.into_iter().map(row));
        }
        let events = self.store().outbox(0, 1000).await.unwrap();
        let event = |event: crate::OutboxEvent| {
            let said = (
                event.tenant_id,
                event.event_type,
                event.subject,
                event.sequence,
            );
            format!("{said:?} {:?}", event.data)
        };
        told_of.extend(events.into_iter().map(event));
        told_of
    }
}
