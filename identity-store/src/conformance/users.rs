use std::collections::BTreeSet;

use identity_challenge::{ChallengeKind, PalmType, UserThrottle};

use super::fixtures::{ENROLL_LEFT, World, at};
use super::verdicts::not_found;
use super::witness::{Told, walk};
use crate::{
    Conflict, ConsentStatus, Entity, Kyc, KycStatus, NewUser, PalmErasure, User, UserEdit, UserId,
    UserPalmPolicy, UserStatus,
};

pub async fn a_user_is_made_known(world: World) {
    let tenant_id = world.tenant("acme").await;
    let new = world.new_user(&tenant_id, "Ada.L~1");
    let told = Told::tenant(&["user_created"], &["user.created"]);
    let user = world
        .commits(world.change_at(3), told, async |change| {
            world.store.create_user(change, new.clone()).await
        })
        .await;
    let expected = User {
        tenant_id,
        user_id: new.user_id,
        internal_id: new.internal_id,
        display_name: Some("Ada".to_owned()),
        email: Some("ada@example.org".to_owned()),
        mobile: None,
        status: UserStatus::Active,
        palms: Vec::new(),
        consent_status: ConsentStatus::None,
        kyc: Kyc::default(),
        palm_policy: UserPalmPolicy::default(),
        throttle: UserThrottle::default(),
        created_at: at(3),
    };
    assert_eq!(user, expected);
    assert_eq!(world.again(&user).await, expected);
}

pub async fn a_user_id_is_taken_once_in_each_tenant(world: World) {
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let ada = world.user(&acme, "ada").await;
    let new = world.new_user(&acme, "ada");
    world
        .conflicts(world.change(), Conflict::UserExists, async |change| {
            world.store.create_user(change, new).await
        })
        .await;
    let same_internal_id = NewUser {
        internal_id: ada.internal_id.clone(),
        ..world.new_user(&other, "ada")
    };
    world
        .conflicts(world.change(), Conflict::IdTaken, async |change| {
            world.store.create_user(change, same_internal_id).await
        })
        .await;
    let unknown = world.new_user(&"nobody".parse().unwrap(), "ada");
    world
        .misses(world.change(), Entity::Tenant, async |change| {
            world.store.create_user(change, unknown).await
        })
        .await;
    assert_eq!(world.again(&ada).await, ada);
    assert_eq!(world.user(&other, "ada").await.tenant_id, other);
}

pub async fn users_are_listed_newest_first_each_once_in_their_tenant(world: World) {
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    world.user(&other, "elsewhere").await;
    for (seconds, user_id) in [(1, "a"), (2, "b"), (2, "c"), (3, "d")] {
        let new = world.new_user(&acme, user_id);
        let created = world.store.create_user(world.change_at(seconds), new);
        created.await.unwrap();
    }
    for limit in [1, 2, 3, 200] {
        let users = walk(limit, async |page| world.store.users(&acme, page).await).await;
        assert!(users.is_sorted_by(|newer, older| newer.created_at >= older.created_at));
        let mut ids: Vec<&str> = users.iter().map(|user| user.user_id.as_str()).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["a", "b", "c", "d"]);
    }
}

pub async fn contact_data_is_edited_field_by_field(world: World) {
    let tenant_id = world.tenant("acme").await;
    let mut expected = world.user(&tenant_id, "ada").await;
    let edits = [
        UserEdit::default(),
        UserEdit {
            display_name: Some(None),
            mobile: Some(Some("+43 1".to_owned())),
            ..UserEdit::default()
        },
        UserEdit {
            display_name: Some(Some("Countess".to_owned())),
            email: Some(None),
            mobile: Some(None),
        },
    ];
    for edit in edits {
        expected.display_name = edit.display_name.clone().unwrap_or(expected.display_name);
        expected.email = edit.email.clone().unwrap_or(expected.email);
        expected.mobile = edit.mobile.clone().unwrap_or(expected.mobile);
        let told = Told::tenant(&["user_updated"], &["user.updated"]);
        let edited = world
            .commits(world.change(), told, async |change| {
                let user_id = &expected.user_id;
                world
                    .store
                    .update_user(change, &tenant_id, user_id, edit)
                    .await
            })
            .await;
        assert_eq!(edited, expected);
        assert_eq!(world.again(&expected).await, expected);
    }
}

pub async fn identity_and_palm_policy_are_noted(world: World) {
    let tenant_id = world.tenant("acme").await;
    let mut expected = world.user(&tenant_id, "ada").await;
    let user_id = expected.user_id.clone();
    expected.kyc = Kyc {
        status: KycStatus::Verified,
        provider: Some("Post".to_owned()),
        level: Some("substantial".to_owned()),
    };
    let told = || Told::tenant(&["user_updated"], &["user.updated"]);
    let noted = world
        .commits(world.change(), told(), async |change| {
            let kyc = expected.kyc.clone();
            world.store.set_kyc(change, &tenant_id, &user_id, kyc).await
        })
        .await;
    assert_eq!(noted, expected);
    expected.palm_policy = UserPalmPolicy {
        allowed_types: BTreeSet::from([PalmType::Right]),
        verification_enabled: false,
    };
    let noted = world
        .commits(world.change(), told(), async |change| {
            let policy = expected.palm_policy.clone();
            let set = world
                .store
                .set_palm_policy(change, &tenant_id, &user_id, policy);
            set.await
        })
        .await;
    assert_eq!(noted, expected);
    assert_eq!(world.again(&expected).await, expected);
}

pub async fn a_suspension_cancels_what_is_open_and_is_told_once(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let user = world.consenting_user(&tenant_id, "ada").await;
    let bystander = world.consenting_user(&tenant_id, "bob").await;
    let open = world.open(&user, &device, ENROLL_LEFT).await;
    let untouched = world.open(&bystander, &device, ENROLL_LEFT).await;
    let suspended = Told::tenant(
        &["user_suspended", "challenge_canceled"],
        &["user.suspended", "challenge.canceled"],
    );
    let reactivated = Told::tenant(&["user_reactivated"], &["user.reactivated"]);
    for (suspend, told, status) in [
        (false, Told::nothing(), UserStatus::Active),
        (true, suspended, UserStatus::Suspended),
        (true, Told::nothing(), UserStatus::Suspended),
        (false, reactivated, UserStatus::Active),
    ] {
        let user = world
            .commits(world.change_at(5), told, async |change| {
                let user_id = &user.user_id;
                world
                    .store
                    .set_user_suspended(change, &tenant_id, user_id, suspend)
                    .await
            })
            .await;
        assert_eq!(user.status, status);
        assert_eq!(world.again(&user).await, user);
    }
    let ended = world.challenge(&open).await.challenge;
    assert_eq!(ended.status_reason().unwrap().as_str(), "user_barred");
    assert_eq!(world.challenge(&untouched).await, untouched);
}

pub async fn a_lock_outlasts_a_suspension_and_is_cleared_by_hand(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let user = world.enrolled_user(&device, "ada").await;
    let lock_at = UserThrottle::LOCK_AT;
    let mut seconds = 0;
    for _ in 0..lock_at {
        seconds += 60;
        let challenge = world
            .open_at(seconds, &user, &device, ChallengeKind::Verify)
            .await;
        world.attempt(&challenge, seconds, not_found()).await;
        let ended = world.store.transition_challenge(
            world.change_at(seconds),
            &tenant_id,
            &challenge.challenge_id,
            crate::ChallengeStep::Deny {
                reason: "enough".to_owned(),
            },
        );
        ended.await.unwrap();
    }
    let locked = world.again(&user).await;
    assert_eq!(locked.status, UserStatus::Locked);
    assert_eq!(locked.throttle.consecutive_failures(), lock_at);
    assert_eq!(locked.throttle.last_failure_at(), Some(at(seconds)));
    let rows = world.audit(&crate::Chain::Tenant(tenant_id.clone())).await;
    let told = rows.iter().filter(|row| row.action == "user_locked");
    assert_eq!(told.count(), 1);

    let mut statuses = Vec::new();
    for suspended in [true, false] {
        let user_id = &user.user_id;
        let set = world
            .store
            .set_user_suspended(world.change(), &tenant_id, user_id, suspended)
            .await;
        statuses.push(set.unwrap().status);
    }
    assert_eq!(statuses, [UserStatus::Suspended, UserStatus::Locked]);
    let told = Told::tenant(&["user_unlocked"], &["user.unlocked"]);
    let cleared = world
        .commits(world.change(), told, async |change| {
            let user_id = &user.user_id;
            world.store.clear_lock(change, &tenant_id, user_id).await
        })
        .await;
    assert_eq!(cleared, user);
    assert_eq!(world.again(&user).await, user);
}

pub async fn another_tenants_user_is_not_found(world: World) {
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let user = world.consenting_user(&acme, "ada").await;
    let (store, ada): (_, &UserId) = (&world.store, &user.user_id);
    assert_eq!(store.user(&other, ada).await.unwrap(), None);
    assert_eq!(store.consents(&other, ada).await.unwrap(), []);
    assert_eq!(
        walk(5, async |page| store.users(&other, page).await).await,
        []
    );
    let missing = Entity::User;
    world
        .misses(world.change(), missing, async |change| {
            store
                .update_user(change, &other, ada, UserEdit::default())
                .await
        })
        .await;
    world
        .misses(world.change(), missing, async |change| {
            store.set_user_suspended(change, &other, ada, true).await
        })
        .await;
    world
        .misses(world.change(), missing, async |change| {
            store.clear_lock(change, &other, ada).await
        })
        .await;
    world
        .misses(world.change(), missing, async |change| {
            store.set_kyc(change, &other, ada, Kyc::default()).await
        })
        .await;
    world
        .misses(world.change(), missing, async |change| {
            let policy = UserPalmPolicy::default();
            store.set_palm_policy(change, &other, ada, policy).await
        })
        .await;
    world
        .misses(world.change(), missing, async |change| {
            let consent = crate::NewConsent {
                tenant_id: other.clone(),
                ..world.consent(&user, true)
            };
            store.record_consent(change, consent).await
        })
        .await;
    world
        .misses(world.change(), missing, async |change| {
            store.withdraw_consent(change, &other, ada).await
        })
        .await;
    world
        .misses(world.change(), missing, async |change| {
            let erasure = PalmErasure {
                tenant_id: other.clone(),
                user_id: ada.clone(),
                palm_type: PalmType::Left,
                requested_at: at(0),
            };
            store.finish_palm_erasure(change, erasure).await
        })
        .await;
    assert_eq!(world.again(&user).await, user);
}
