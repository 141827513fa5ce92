use identity_challenge::{
    AdmissionRefusal, ChallengeKind, ChallengeStatus, DeviceBinding, DeviceClass, MaxAttempts,
    PalmType, Ttl,
};

use super::fixtures::{ENROLL_LEFT, ENROLL_RIGHT, World, at};
use super::witness::{Told, walk};
use crate::{
    ChallengeFilter, ChallengeStep, Conflict, Device, Entity, Error, Kyc, KycStatus, NewChallenge,
    NewDevice, StoredChallenge, TenantConfig, User, UserPalmPolicy,
};

pub async fn a_challenge_is_created_for_a_user_at_a_device(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let user = world.enrolled_user(&device, "ada").await;
    for (ttl, max_attempts, seconds, tries) in [
        (None, None, 120, 3),
        (
            Some(Ttl::new(15).unwrap()),
            Some(MaxAttempts::new(1).unwrap()),
            15,
            1,
        ),
    ] {
        let new = NewChallenge {
            ttl,
            max_attempts,
            ..world.new_challenge(&user, &device, ChallengeKind::Verify)
        };
        let told = Told::tenant(&["challenge_created"], &["challenge.created"]);
        let record = world
            .commits(world.change_at(7), told, async |change| {
                world.store.create_challenge(change, new.clone()).await
            })
            .await;
        let challenge = record.challenge;
        assert_eq!(challenge.status(), ChallengeStatus::Pending);
        assert_eq!(challenge.kind(), ChallengeKind::Verify);
        assert_eq!(challenge.created_at(), at(7));
        assert_eq!(challenge.expires_at(), at(7 + seconds));
        assert_eq!(challenge.attempts().remaining(), tries);
        let expected = StoredChallenge {
            tenant_id: new.tenant_id,
            challenge_id: new.challenge_id,
            challenge,
            user_id: new.user_id,
            internal_user_id: user.internal_id.clone(),
            device_id: new.device_id,
            client_id: new.client_id,
            context: new.context,
            metadata: new.metadata,
            display: new.display,
            binding_message: new.binding_message,
            client_reference: new.client_reference,
            nonce: new.nonce,
            scores: None,
            receipt: None,
        };
        assert_eq!(record, expected);
        assert_eq!(world.challenge(&record).await, expected);
    }
}

pub async fn the_tenants_settings_bound_a_challenge(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let user = world.enrolled_user(&device, "ada").await;
    let config = TenantConfig {
        challenge_ttl_seconds: Ttl::new(33).unwrap(),
        max_attempts: MaxAttempts::new(2).unwrap(),
        ..TenantConfig::default()
    };
    world.configure(&tenant_id, config).await;
    let record = world.open(&user, &device, ChallengeKind::Verify).await;
    assert_eq!(record.challenge.expires_at(), at(33));
    assert_eq!(record.challenge.attempts().remaining(), 2);
}

pub async fn a_challenge_id_is_taken_once(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let user = world.consenting_user(&tenant_id, "ada").await;
    let first = world.open(&user, &device, ENROLL_LEFT).await;
    let new = NewChallenge {
        challenge_id: first.challenge_id.clone(),
        ..world.new_challenge(&user, &device, ENROLL_LEFT)
    };
    world
        .conflicts(world.change(), Conflict::IdTaken, async |change| {
            world.store.create_challenge(change, new).await
        })
        .await;
    assert_eq!(world.challenge(&first).await, first);
}

impl World {
    /// Tries to create a challenge that admission has to refuse.
    async fn refuses_admission(&self, new: NewChallenge, expected: AdmissionRefusal) {
        let id = (new.tenant_id.clone(), new.challenge_id.clone());
        let refusal = self
            .refuses(self.change(), async |change| {
                self.store.create_challenge(change, new).await
            })
            .await;
        match refusal {
            Error::Admission(found) => assert_eq!(found, expected),
            other => panic!("{other:?} in place of {expected:?}"),
        }
        let created = self.store.challenge(&id.0, &id.1).await.unwrap();
        assert_eq!(created, None);
    }

    async fn suspend(&self, user: &User, suspended: bool) {
        let set = self
            .store
            .set_user_suspended(self.change(), &user.tenant_id, &user.user_id, suspended)
            .await;
        set.unwrap();
    }
}

pub async fn an_enrolment_passes_its_gates_one_by_one(world: World) {
    use AdmissionRefusal as Gate;
    let tenant_id = world.tenant("acme").await;
    let config = TenantConfig {
        kyc_required_for_enrollment: true,
        max_open_challenges_per_device: 1,
        ..TenantConfig::default()
    };
    world.configure(&tenant_id, config).await;
    let user = world.user(&tenant_id, "ada").await;
    let (waiting, _) = world.pending_device(&tenant_id).await;
    let waiting = world.device(&waiting).await;
    let device = world.paired_device(&tenant_id).await;
    let enroll = |user: &User, device: &Device| world.new_challenge(user, device, ENROLL_LEFT);

    let mut stranger = user.clone();
    stranger.user_id = "nobody".parse().unwrap();
    let gate = Gate::UserNotFound;
    world
        .refuses_admission(enroll(&stranger, &device), gate)
        .await;
    world.suspend(&user, true).await;
    let gate = Gate::UserSuspended;
    world.refuses_admission(enroll(&user, &waiting), gate).await;
    world.suspend(&user, false).await;
    let mut absent = device.clone();
    absent.identity = world.identity(&tenant_id);
    let gate = Gate::DeviceNotFound;
    world.refuses_admission(enroll(&user, &absent), gate).await;
    let gate = Gate::DeviceNotPaired;
    world.refuses_admission(enroll(&user, &waiting), gate).await;
    let gate = Gate::KycRequired;
    world.refuses_admission(enroll(&user, &device), gate).await;
    let kyc = Kyc {
        status: KycStatus::Verified,
        ..Kyc::default()
    };
    let noted = world
        .store
        .set_kyc(world.change(), &tenant_id, &user.user_id, kyc);
    noted.await.unwrap();
    let gate = Gate::ConsentRequired;
    world.refuses_admission(enroll(&user, &device), gate).await;
    let consent = world.consent(&user, true);
    let granted = world.store.record_consent(world.change(), consent).await;
    granted.unwrap();
    let challenge = world.open(&user, &device, ENROLL_LEFT).await;
    let gate = Gate::DeviceBusy { open: 1 };
    world.refuses_admission(enroll(&user, &device), gate).await;
    world
        .attempt(&challenge, 0, super::verdicts::added(5))
        .await;
    let palm_type = PalmType::Left;
    let gate = Gate::AlreadyEnrolled { palm_type };
    world.refuses_admission(enroll(&user, &device), gate).await;
    world.open(&user, &device, ENROLL_RIGHT).await;
}

pub async fn a_tenant_may_enrol_without_asking_for_consent(world: World) {
    let tenant_id = world.tenant("acme").await;
    let config = TenantConfig {
        consent_required: false,
        ..TenantConfig::default()
    };
    world.configure(&tenant_id, config).await;
    let device = world.paired_device(&tenant_id).await;
    let user = world.user(&tenant_id, "ada").await;
    let challenge = world.open(&user, &device, ENROLL_LEFT).await;
    assert_eq!(challenge.challenge.kind(), ENROLL_LEFT);
}

pub async fn a_verification_needs_a_palm_that_may_be_used(world: World) {
    use AdmissionRefusal as Gate;
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let verify = |user: &User| world.new_challenge(user, &device, ChallengeKind::Verify);
    let newcomer = world.consenting_user(&tenant_id, "bob").await;
    let gate = Gate::UserNotEnrolled;
    world.refuses_admission(verify(&newcomer), gate).await;
    let user = world.enrolled_user(&device, "ada").await;
    let policy = |allowed: &[PalmType], verification_enabled| UserPalmPolicy {
        allowed_types: allowed.iter().copied().collect(),
        verification_enabled,
    };
    for (policy, admitted) in [
        (policy(&[PalmType::Right], true), false),
        (policy(&[PalmType::Left], false), false),
        (policy(&[PalmType::Left], true), true),
    ] {
        let user_id = &user.user_id;
        let set = world
            .store
            .set_palm_policy(world.change(), &tenant_id, user_id, policy)
            .await;
        set.unwrap();
        if admitted {
            world.open(&user, &device, ChallengeKind::Verify).await;
        } else {
            let gate = Gate::PalmTypeRestricted;
            world.refuses_admission(verify(&user), gate).await;
        }
    }
}

pub async fn a_device_of_another_class_takes_no_challenge(world: World) {
    let tenant_id = world.tenant("acme").await;
    let class = DeviceClass::Gate;
    let new = NewDevice {
        binding: DeviceBinding::new(class, Some("door"), Some("open")).unwrap(),
        ..world.new_device(&tenant_id, "Gate")
    };
    let code = new.pairing.code_hash;
    let created = world.store.create_device(world.change(), new).await;
    let identity = created.unwrap().identity;
    let pairing = world.pairing(code, &identity);
    let paired = world.store.pair_device(world.change(), pairing).await;
    paired.unwrap();
    let gate = world.device(&identity).await;
    let user = world.consenting_user(&tenant_id, "ada").await;
    let new = world.new_challenge(&user, &gate, ENROLL_LEFT);
    let refusal = AdmissionRefusal::DeviceClassNotAllowed { class };
    world.refuses_admission(new, refusal).await;
}

pub async fn another_tenants_users_and_devices_are_not_found(world: World) {
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let own_device = world.paired_device(&acme).await;
    let own_user = world.enrolled_user(&own_device, "ada").await;
    let foreign_device = world.paired_device(&other).await;
    let foreign_user = world.enrolled_user(&foreign_device, "bob").await;
    let in_acme = |user: &User, device: &Device| NewChallenge {
        tenant_id: acme.clone(),
        ..world.new_challenge(user, device, ChallengeKind::Verify)
    };
    let new = in_acme(&foreign_user, &own_device);
    let refusal = AdmissionRefusal::UserNotFound;
    world.refuses_admission(new, refusal).await;
    let new = in_acme(&own_user, &foreign_device);
    let refusal = AdmissionRefusal::DeviceNotFound;
    world.refuses_admission(new, refusal).await;

    let challenge = world
        .open(&own_user, &own_device, ChallengeKind::Verify)
        .await;
    let (store, id) = (&world.store, &challenge.challenge_id);
    assert_eq!(store.challenge(&other, id).await.unwrap(), None);
    let everything = ChallengeFilter {
        user_id: Some("ada".parse().unwrap()),
        ..ChallengeFilter::default()
    };
    let listed = walk(5, async |page| {
        store.challenges(&other, everything.clone(), page).await
    });
    assert_eq!(listed.await, []);
    let missing = Entity::Challenge;
    world
        .misses(world.change(), missing, async |change| {
            let step = ChallengeStep::Claim;
            store.transition_challenge(change, &other, id, step).await
        })
        .await;
    world
        .misses(world.change(), missing, async |change| {
            let sample = crate::SampleDigest(world.digest());
            store.begin_attempt(change, &other, id, sample, at(9)).await
        })
        .await;
    let lease = crate::AttemptLease {
        tenant_id: other.clone(),
        ..world.lease(&challenge, 0).await
    };
    world
        .misses(world.change(), missing, async |change| {
            let verdict = super::verdicts::matched();
            store.finish_attempt(change, lease, verdict).await
        })
        .await;
}

pub async fn of_many_challenges_at_once_no_more_open_than_allowed(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let user = world.enrolled_user(&device, "ada").await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let store = std::sync::Arc::clone(&world.store);
        let change = world.change();
        let new = world.new_challenge(&user, &device, ChallengeKind::Verify);
        calls.spawn(async move { store.create_challenge(change, new).await });
    }
    let created = calls.join_all().await.into_iter().filter(Result::is_ok);
    let allowed = TenantConfig::default().max_open_challenges_per_device;
    assert_eq!(u32::try_from(created.count()), Ok(allowed));
    // What is over makes room, whether or not the sweeper noticed.
    world
        .open_at(120, &user, &device, ChallengeKind::Verify)
        .await;
}
