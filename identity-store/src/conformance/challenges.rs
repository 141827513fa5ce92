use identity_challenge::{
    AdmissionRefusal, CancelReason, ChallengeKind, ChallengeStatus, DeviceBinding, DeviceClass,
    MaxAttempts, PalmType, Refusal, Ttl,
};
use identity_pki::TenantId;

use super::fixtures::{ENROLL_LEFT, ENROLL_RIGHT, World, at};
use super::witness::{Told, walk};
use crate::{
    ChallengeFilter, ChallengeId, ChallengeStep, Conflict, Device, Entity, Error, Kyc, KycStatus,
    NewChallenge, NewDevice, StoredChallenge, TenantConfig, User, UserPalmPolicy,
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
        .attempt(&challenge, 0, super::fixtures::added(5))
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
            let verdict = super::fixtures::matched();
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

async fn listed(world: &World, filter: ChallengeFilter) -> Vec<ChallengeId> {
    let tenant_id: TenantId = "acme".parse().unwrap();
    let found = walk(1, async |page| {
        world
            .store
            .challenges(&tenant_id, filter.clone(), page)
            .await
    });
    let found = found.await;
    assert!(found.is_sorted_by(|newer, older| {
        newer.challenge.created_at() >= older.challenge.created_at()
    }));
    found
        .into_iter()
        .map(|record| record.challenge_id)
        .collect()
}

pub async fn challenges_are_listed_newest_first_by_what_they_are(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let ada = world.consenting_user(&tenant_id, "ada").await;
    let bob = world.consenting_user(&tenant_id, "bob").await;
    let elsewhere = world.paired_device(&tenant_id).await;
    let first = world.open_at(1, &ada, &device, ENROLL_LEFT).await;
    let second = world.open_at(2, &bob, &device, ENROLL_LEFT).await;
    let new = NewChallenge {
        client_reference: None,
        ..world.new_challenge(&bob, &elsewhere, ENROLL_RIGHT)
    };
    let third = world.store.create_challenge(world.change_at(3), new).await;
    let third = third.unwrap();
    let claimed = world
        .store
        .transition_challenge(
            world.change_at(4),
            &tenant_id,
            &second.challenge_id,
            ChallengeStep::Claim,
        )
        .await;
    claimed.unwrap();
    let ids = |records: &[&StoredChallenge]| -> Vec<ChallengeId> {
        let ids = records.iter().map(|record| record.challenge_id.clone());
        ids.collect()
    };
    let all = ChallengeFilter::default;
    let found = listed(&world, all()).await;
    assert_eq!(found, ids(&[&third, &second, &first]));
    let of_bob = ChallengeFilter {
        user_id: Some(bob.user_id.clone()),
        ..all()
    };
    assert_eq!(
        listed(&world, of_bob.clone()).await,
        ids(&[&third, &second])
    );
    let at_device = ChallengeFilter {
        device_id: Some(device.identity.device_id().clone()),
        ..all()
    };
    assert_eq!(listed(&world, at_device).await, ids(&[&second, &first]));
    let in_progress = ChallengeFilter {
        status: Some(ChallengeStatus::InProgress),
        ..of_bob
    };
    assert_eq!(listed(&world, in_progress).await, ids(&[&second]));
    let referenced = ChallengeFilter {
        client_reference: Some("order-7".to_owned()),
        ..all()
    };
    assert_eq!(listed(&world, referenced).await, ids(&[&second, &first]));
    let unknown = ChallengeFilter {
        client_reference: Some("order-8".to_owned()),
        ..all()
    };
    assert_eq!(listed(&world, unknown).await, []);
}

pub async fn a_device_finds_what_is_open_oldest_first(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let elsewhere = world.paired_device(&tenant_id).await;
    let user = world.consenting_user(&tenant_id, "ada").await;
    let second = world.open_at(2, &user, &device, ENROLL_LEFT).await;
    let first = world.open_at(1, &user, &device, ENROLL_LEFT).await;
    let third = world.open_at(3, &user, &device, ENROLL_LEFT).await;
    world.open(&user, &elsewhere, ENROLL_LEFT).await;
    let step = async |record: &StoredChallenge, step| {
        let id = &record.challenge_id;
        let moved = world
            .store
            .transition_challenge(world.change_at(4), &tenant_id, id, step)
            .await;
        moved.unwrap()
    };
    let first = step(&first, ChallengeStep::Claim).await;
    let open = async |seconds| {
        let open = world
            .store
            .open_challenges(&device.identity, at(seconds))
            .await;
        open.unwrap()
    };
    assert_eq!(open(4).await, [first.clone(), second, third.clone()]);
    assert_eq!(open(122).await, std::slice::from_ref(&third));
    let cancel = ChallengeStep::Cancel(CancelReason::Integrator);
    step(&third, cancel).await;
    assert_eq!(open(122).await, []);
    assert_eq!(world.challenge(&first).await, first);
}

pub async fn a_challenge_is_claimed_denied_or_canceled(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let user = world.consenting_user(&tenant_id, "ada").await;
    let deny = || ChallengeStep::Deny {
        reason: "not me".to_owned(),
    };
    let cancel = || ChallengeStep::Cancel(CancelReason::Integrator);
    let denied = || Told::tenant(&["challenge_denied"], &["challenge.denied"]);
    let canceled = || Told::tenant(&["challenge_canceled"], &["challenge.canceled"]);
    for (steps, reason) in [
        (
            vec![
                (ChallengeStep::Claim, Told::nothing()),
                (ChallengeStep::Claim, Told::nothing()),
                (deny(), denied()),
            ],
            "denied_at_device",
        ),
        (vec![(deny(), denied())], "denied_at_device"),
        (vec![(cancel(), canceled())], "canceled_by_integrator"),
        (
            vec![
                (ChallengeStep::Claim, Told::nothing()),
                (cancel(), canceled()),
            ],
            "canceled_by_integrator",
        ),
    ] {
        let opened = world.open(&user, &device, ENROLL_LEFT).await;
        let id = &opened.challenge_id;
        let mut before = opened.clone();
        for (step, told) in steps {
            let event = step.event();
            let moved = world
                .commits(world.change_at(9), told, async |change| {
                    world
                        .store
                        .transition_challenge(change, &tenant_id, id, step)
                        .await
                })
                .await;
            let expected = StoredChallenge {
                challenge: before.challenge.apply(event, at(9)).unwrap(),
                ..before
            };
            assert_eq!(moved, expected);
            assert_eq!(world.challenge(&moved).await, expected);
            before = moved;
        }
        let ended = before.challenge.status_reason().unwrap();
        assert_eq!(ended.as_str(), reason);
        for step in [ChallengeStep::Claim, deny(), cancel()] {
            let refusal = world
                .refuses(world.change_at(10), async |change| {
                    world
                        .store
                        .transition_challenge(change, &tenant_id, id, step)
                        .await
                })
                .await;
            let status = before.challenge.status();
            match refusal {
                Error::Challenge(found) => assert_eq!(found, Refusal::Terminal { status }),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(world.challenge(&opened).await, before);
    }
}

pub async fn a_denial_is_told_in_the_devices_words(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let user = world.consenting_user(&tenant_id, "ada").await;
    let challenge = world.open(&user, &device, ENROLL_LEFT).await;
    let step = ChallengeStep::Deny {
        reason: "wrong amount".to_owned(),
    };
    let denied =
        world
            .store
            .transition_challenge(world.change(), &tenant_id, &challenge.challenge_id, step);
    denied.await.unwrap();
    let rows = world.audit(&crate::Chain::Tenant(tenant_id)).await;
    assert_eq!(rows.last().unwrap().metadata["reason"], "wrong amount");
    let events = world.outbox().await;
    assert_eq!(events.last().unwrap().data["reason"], "wrong amount");
}

pub async fn an_overdue_challenge_is_over_before_it_is_swept(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let user = world.consenting_user(&tenant_id, "ada").await;
    let challenge = world.open(&user, &device, ENROLL_LEFT).await;
    let id = &challenge.challenge_id;
    for step in [
        ChallengeStep::Claim,
        ChallengeStep::Cancel(CancelReason::Integrator),
    ] {
        let refusal = world
            .refuses(world.change_at(120), async |change| {
                world
                    .store
                    .transition_challenge(change, &tenant_id, id, step)
                    .await
            })
            .await;
        let expired = matches!(refusal, Error::Challenge(Refusal::Expired { .. }));
        assert!(expired, "{refusal:?}");
    }
    assert_eq!(world.challenge(&challenge).await, challenge);
}

pub async fn the_sweeper_expires_what_is_overdue_longest_first(world: World) {
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let mut opened = Vec::new();
    for (tenant_id, seconds) in [(&acme, 2), (&other, 1), (&acme, 3)] {
        let device = world.paired_device(tenant_id).await;
        let user_id = format!("user-{seconds}");
        let user = world.consenting_user(tenant_id, &user_id).await;
        opened.push(world.open_at(seconds, &user, &device, ENROLL_LEFT).await);
    }
    let sweep = async |seconds, limit, swept: &[&StoredChallenge]| {
        let names = vec!["challenge_expired"; swept.len()];
        let webhooks = vec!["challenge.expired"; swept.len()];
        let found = world
            .commits(
                world.change_at(seconds),
                Told::tenant(&names, &webhooks),
                async |change| world.store.expire_challenges(change, limit).await,
            )
            .await;
        assert_eq!(found.len(), swept.len());
        for (found, opened) in found.iter().zip(swept) {
            assert_eq!(found.challenge_id, opened.challenge_id);
            assert_eq!(found.challenge.status(), ChallengeStatus::Expired);
            assert_eq!(found.challenge.completed_at(), Some(at(seconds)));
            assert_eq!(world.challenge(opened).await, *found);
        }
    };
    sweep(120, 9, &[]).await;
    sweep(122, 1, &[&opened[1]]).await;
    sweep(122, 9, &[&opened[0]]).await;
    sweep(200, 9, &[&opened[2]]).await;
    sweep(300, 9, &[]).await;
    let told = world.audit(&crate::Chain::Tenant(other)).await;
    assert_eq!(told.last().unwrap().action, "challenge_expired");
}
