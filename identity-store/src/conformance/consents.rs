use identity_challenge::{ChallengeKind, PalmType};

use super::fixtures::{ENROLL_LEFT, ENROLL_RIGHT, World, at};
use super::witness::Told;
use crate::{Consent, ConsentStatus, Entity, User};

pub async fn consent_is_recorded_with_what_was_agreed_to(world: World) {
    let tenant_id = world.tenant("acme").await;
    let user = world.user(&tenant_id, "ada").await;
    let first = world.consent(&user, true);
    let told = || Told::tenant(&["consent_granted"], &["consent.granted"]);
    let recorded = world
        .commits(world.change_at(1), told(), async |change| {
            world.store.record_consent(change, first.clone()).await
        })
        .await;
    let first = Consent {
        consent: first,
        recorded_at: at(1),
        withdrawn_at: None,
    };
    assert_eq!(recorded, first);
    let status = world.again(&user).await.consent_status;
    assert_eq!(status, ConsentStatus::Granted);
    let newer = world.consent(&user, true);
    // Of the same millisecond: the order in which they came decides.
    let second = world
        .commits(world.change_at(1), told(), async |change| {
            world.store.record_consent(change, newer).await
        })
        .await;
    let consents = world.store.consents(&tenant_id, &user.user_id).await;
    assert_eq!(consents.unwrap(), [second, first]);
    let rows = world.audit(&crate::Chain::Tenant(tenant_id)).await;
    let metadata = &rows.last().unwrap().metadata;
    assert_eq!(metadata["user_id"], user.internal_id.as_str());
}

pub async fn a_refusal_withdraws_what_stands_and_is_recorded(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let user = world.user(&tenant_id, "ada").await;
    let told = || Told::tenant(&["consent_withdrawn"], &["consent.withdrawn"]);
    let refuse = async |seconds| {
        let refusal = world.consent(&user, false);
        let recorded = world
            .commits(world.change_at(seconds), told(), async |change| {
                world.store.record_consent(change, refusal).await
            })
            .await;
        assert_eq!(recorded.withdrawn_at, None);
    };
    refuse(1).await;
    let status = world.again(&user).await.consent_status;
    assert_eq!(status, ConsentStatus::None);
    assert_eq!(world.store.due_palm_erasures(9).await.unwrap(), []);

    let agreed = world.consent(&user, true);
    let granted = world.store.record_consent(world.change_at(2), agreed).await;
    granted.unwrap();
    let challenge = world.open_at(2, &user, &device, ENROLL_LEFT).await;
    world
        .attempt(&challenge, 2, super::verdicts::added(7))
        .await;
    refuse(3).await;
    refuse(4).await;
    let user = world.again(&user).await;
    assert_eq!(user.consent_status, ConsentStatus::Withdrawn);
    assert_eq!(user.palms, []);
    assert_eq!(world.store.due_palm_erasures(9).await.unwrap().len(), 2);
    let answers = world.store.consents(&tenant_id, &user.user_id).await;
    let answers: Vec<_> = answers
        .unwrap()
        .iter()
        .map(|answer| (answer.consent.granted, answer.withdrawn_at))
        .collect();
    let expected = [
        (false, None),
        (false, None),
        (true, Some(at(3))),
        (false, None),
    ];
    assert_eq!(answers, expected);
}

pub async fn a_withdrawal_takes_the_palms_and_ends_what_is_open(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let user = world.enrolled_user(&device, "ada").await;
    let bystander = world.enrolled_user(&device, "bob").await;
    let verify = world.open(&user, &device, ChallengeKind::Verify).await;
    let enroll = world.open_at(1, &user, &device, ENROLL_RIGHT).await;
    let told = Told::tenant(
        &[
            "consent_withdrawn",
            "challenge_canceled",
            "challenge_canceled",
        ],
        &[
            "consent.withdrawn",
            "challenge.canceled",
            "challenge.canceled",
        ],
    );
    let withdrawn = world
        .commits(world.change_at(5), told, async |change| {
            let user_id = &user.user_id;
            world
                .store
                .withdraw_consent(change, &tenant_id, user_id)
                .await
        })
        .await;
    let expected = User {
        consent_status: ConsentStatus::Withdrawn,
        palms: Vec::new(),
        ..user.clone()
    };
    assert_eq!(withdrawn, expected);
    assert_eq!(world.again(&user).await, expected);
    assert_eq!(world.again(&bystander).await, bystander);
    for open in [verify, enroll] {
        let ended = world.challenge(&open).await.challenge;
        assert_eq!(ended.status_reason().unwrap().as_str(), "consent_withdrawn");
    }
    let consents = world.store.consents(&tenant_id, &user.user_id).await;
    let moments: Vec<_> = consents.unwrap().iter().map(|c| c.withdrawn_at).collect();
    assert_eq!(moments, [Some(at(5))]);
    world
        .misses(world.change(), Entity::Consent, async |change| {
            let user_id = &user.user_id;
            world
                .store
                .withdraw_consent(change, &tenant_id, user_id)
                .await
        })
        .await;
}

impl World {
    async fn withdrawn_user(&self, user: User, seconds: i64) -> User {
        let withdrawn = self
            .store
            .withdraw_consent(self.change_at(seconds), &user.tenant_id, &user.user_id)
            .await;
        withdrawn.unwrap()
    }
}

pub async fn each_palm_is_erased_once_oldest_request_first(world: World) {
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let later = world.consenting_user(&other, "ada").await;
    let earlier = world.consenting_user(&acme, "ada").await;
    world.withdrawn_user(later.clone(), 2).await;
    world.withdrawn_user(earlier.clone(), 1).await;
    let again = world.consent(&earlier, true);
    let granted = world.store.record_consent(world.change_at(3), again).await;
    granted.unwrap();
    world.withdrawn_user(earlier.clone(), 4).await;

    let due = world.store.due_palm_erasures(9).await.unwrap();
    let told: Vec<_> = due
        .iter()
        .map(|erasure| (erasure.tenant_id.as_str(), erasure.requested_at))
        .collect();
    let expected = [
        ("acme", at(1)),
        ("acme", at(1)),
        ("other", at(2)),
        ("other", at(2)),
    ];
    assert_eq!(told, expected);
    assert_ne!(due[0].palm_type, due[1].palm_type);
    assert_eq!(world.store.due_palm_erasures(3).await.unwrap(), due[..3]);

    let erased = || Told::tenant(&["palm_erased"], &[]);
    for (erasure, told) in [(&due[0], erased()), (&due[0], Told::nothing())] {
        world
            .commits(world.change(), told, async |change| {
                let erasure = erasure.clone();
                world.store.finish_palm_erasure(change, erasure).await
            })
            .await;
        assert_eq!(world.store.due_palm_erasures(9).await.unwrap(), due[1..]);
    }
}

pub async fn an_enrolment_makes_an_erasure_needless(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let user = world.enrolled_user(&device, "ada").await;
    world.withdrawn_user(user.clone(), 1).await;
    let again = world.consent(&user, true);
    let granted = world.store.record_consent(world.change_at(2), again).await;
    granted.unwrap();
    let due = world.store.due_palm_erasures(9).await.unwrap();
    let (left, right): (Vec<_>, Vec<_>) = due
        .into_iter()
        .partition(|erasure| erasure.palm_type == PalmType::Left);

    // The palm server added a template, so it had none: nothing is left to erase.
    let challenge = world.open_at(3, &user, &device, ENROLL_LEFT).await;
    world
        .attempt(&challenge, 3, super::verdicts::added(8))
        .await;
    assert_eq!(world.store.due_palm_erasures(9).await.unwrap(), right);
    let enrolled = world.again(&user).await;
    for erasure in left.into_iter().chain(right) {
        let finished = world
            .store
            .finish_palm_erasure(world.change(), erasure)
            .await;
        finished.unwrap();
    }
    assert_eq!(world.again(&user).await, enrolled);
}
