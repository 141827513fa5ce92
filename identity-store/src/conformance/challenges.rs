use identity_challenge::{CancelReason, ChallengeStatus, Refusal};
use identity_pki::TenantId;

use super::fixtures::{ENROLL_LEFT, ENROLL_RIGHT, World, at};
use super::witness::{Told, walk};
use crate::{ChallengeFilter, ChallengeId, ChallengeStep, Error, NewChallenge, StoredChallenge};

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
        let work = world.store.device_work(&device.identity, at(seconds)).await;
        work.unwrap().unwrap().open_challenges
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
