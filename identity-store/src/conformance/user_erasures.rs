use identity_challenge::ChallengeKind;

use super::fixtures::{ENROLL_RIGHT, World, at};
use super::scene::scene;
use super::verdicts::{added, not_found};
use super::witness::{Told, walk};
use crate::{Conflict, Entity, Erasure, ErasureId, PalmErasure, StoredChallenge, Tombstone, User};

impl World {
    async fn begins(&self, user: &User, seconds: i64) -> Erasure {
        let begun = self.store.begin_erasure(
            self.change_at(seconds),
            &user.tenant_id,
            &user.user_id,
            self.id("era_"),
            "they asked for it".to_owned(),
        );
        begun.await.unwrap()
    }

    async fn erasure(&self, tombstone: &Tombstone) -> Erasure {
        let Tombstone {
            tenant_id,
            erasure_id,
            ..
        } = tombstone;
        let read = self.store.erasure(tenant_id, erasure_id).await;
        read.unwrap().unwrap()
    }

    async fn completes(&self, seconds: i64, tombstone: &Tombstone, told: Told) -> bool {
        self.commits(self.change_at(seconds), told, async |change| {
            let receipt = "the.receipt".to_owned();
            self.store
                .complete_erasure(change, tombstone, receipt)
                .await
        })
        .await
    }

    /// The palm server answers for each palm, a second after the other.
    async fn palms_are_erased(&self, seconds: i64) {
        let due = self.store.due_palm_erasures(9).await.unwrap();
        for (erasure, seconds) in due.into_iter().zip(seconds..) {
            let change = self.change_at(seconds);
            let finished = self.store.finish_palm_erasure(change, erasure);
            finished.await.unwrap();
        }
    }

    async fn erases_challenges(&self, tombstone: &Tombstone, seconds: i64, limit: u32) -> u64 {
        let erased = self
            .store
            .erase_challenges(tombstone, at(seconds), limit)
            .await;
        erased.unwrap()
    }

    async fn is_gone(&self, challenge: &StoredChallenge) -> bool {
        let read = self
            .store
            .challenge(&challenge.tenant_id, &challenge.challenge_id);
        read.await.unwrap().is_none()
    }
}

pub async fn a_user_whose_erasure_begins_is_gone_and_their_palms_are_due(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let user = world.enrolled_user(&device, "ada").await;
    let bystander = world.enrolled_user(&device, "bob").await;
    let open = world.open(&user, &device, ChallengeKind::Verify).await;
    let erasure_id: ErasureId = world.id("era_");
    let told = || {
        Told::tenant(
            &["user_deleted", "challenge_canceled"],
            &["user.deleted", "challenge.canceled"],
        )
    };
    let begin = async |change, erasure_id: &ErasureId| {
        let reason = "they asked for it".to_owned();
        let (user_id, erasure_id) = (&user.user_id, erasure_id.clone());
        let begun = world
            .store
            .begin_erasure(change, &tenant_id, user_id, erasure_id, reason);
        begun.await
    };
    let mut begun = Vec::new();
    for told in [told(), Told::nothing()] {
        let change = world.change_at(7);
        let erasure = world
            .commits(change, told, async |change| {
                begin(change, &erasure_id).await
            })
            .await;
        begun.push(erasure);
    }
    let expected = Erasure {
        tombstone: Tombstone {
            tenant_id: tenant_id.clone(),
            erasure_id: erasure_id.clone(),
            internal_id: user.internal_id.clone(),
        },
        requested_at: at(7),
        palm_server_at: None,
        completed_at: None,
        receipt: None,
    };
    assert_eq!(begun, [expected.clone(), expected.clone()]);
    assert_eq!(world.erasure(&expected.tombstone).await, expected);
    let of_user = world.store.erasure_of(&tenant_id, &user.user_id).await;
    assert_eq!(of_user.unwrap(), Some(expected));
    let another: ErasureId = world.id("era_");
    world
        .conflicts(world.change(), Conflict::UserBeingErased, async |change| {
            begin(change, &another).await
        })
        .await;

    let store = &world.store;
    let found = store.user(&tenant_id, &user.user_id).await.unwrap();
    assert_eq!(found, None);
    let listed = walk(9, async |page| store.users(&tenant_id, page).await).await;
    assert_eq!(listed, std::slice::from_ref(&bystander));
    let consents = store.consents(&tenant_id, &user.user_id).await.unwrap();
    assert_eq!(consents, []);
    let ended = world.challenge(&open).await.challenge;
    assert_eq!(ended.status_reason().unwrap().as_str(), "user_barred");
    let due = store.due_palm_erasures(9).await.unwrap();
    let whose: Vec<_> = due
        .iter()
        .map(|it| (&it.user_id, it.requested_at))
        .collect();
    assert_eq!(whose, [(&user.user_id, at(7)), (&user.user_id, at(7))]);
    let of_bystander = store.erasure_of(&tenant_id, &bystander.user_id).await;
    assert_eq!(of_bystander.unwrap(), None);

    // Nothing is done to somebody who is gone, and the id is taken.
    for change in [world.change(), world.change()] {
        world
            .misses(change, Entity::User, async |change| {
                store.clear_lock(change, &tenant_id, &user.user_id).await
            })
            .await;
    }
    let successor = world.new_user(&tenant_id, "ada");
    world
        .conflicts(world.change(), Conflict::UserBeingErased, async |change| {
            store.create_user(change, successor).await
        })
        .await;
    world
        .misses(world.change(), Entity::User, async |change| {
            let nobody = "nobody".parse().unwrap();
            let id = world.id("era_");
            store
                .begin_erasure(change, &tenant_id, &nobody, id, "x".to_owned())
                .await
        })
        .await;
    assert_eq!(world.again(&bystander).await, bystander);
}

pub async fn an_erasure_is_completed_when_nothing_is_left_anywhere(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let user = world.enrolled_user(&device, "ada").await;
    let bystander = world.enrolled_user(&device, "bob").await;
    let verify = world.open(&user, &device, ChallengeKind::Verify).await;
    world.attempt(&verify, 1, not_found()).await;
    let of_bystander = world.open(&bystander, &device, ChallengeKind::Verify).await;
    let erasure = world.begins(&user, 2).await;
    let tombstone = &erasure.tombstone;
    let nothing = Told::nothing;
    assert!(!world.completes(3, tombstone, nothing()).await);
    assert_eq!(world.erases_challenges(tombstone, 3, 1).await, 1);
    assert_eq!(world.erases_challenges(tombstone, 3, 9).await, 1);
    assert_eq!(world.erases_challenges(tombstone, 3, 9).await, 0);
    assert!(world.is_gone(&verify).await && !world.is_gone(&of_bystander).await);
    assert!(!world.completes(3, tombstone, nothing()).await, "the palms");
    let due = world.store.due_palm_erasures(9).await.unwrap();
    let first = world
        .store
        .finish_palm_erasure(world.change_at(4), due[0].clone());
    first.await.unwrap();
    assert_eq!(world.erasure(tombstone).await.palm_server_at, None);
    assert!(!world.completes(4, tombstone, nothing()).await, "one palm");
    world.palms_are_erased(5).await;
    assert_eq!(world.erasure(tombstone).await.palm_server_at, Some(at(5)));

    let told = Told::tenant(&["erasure_completed"], &["erasure.completed"]);
    assert!(world.completes(6, tombstone, told).await);
    let completed = Erasure {
        palm_server_at: Some(at(5)),
        completed_at: Some(at(6)),
        receipt: Some("the.receipt".to_owned()),
        ..erasure.clone()
    };
    assert_eq!(world.erasure(tombstone).await, completed);
    assert!(!world.completes(7, tombstone, nothing()).await, "once");
    assert_eq!(world.erasure(tombstone).await, completed);
    let of_user = world.store.erasure_of(&tenant_id, &user.user_id).await;
    assert_eq!(of_user.unwrap(), None);

    // Somebody else may have the id.
    let successor = world.consenting_user(&tenant_id, "ada").await;
    assert_ne!(successor.internal_id, user.internal_id);
    let other = world.begins(&successor, 9).await;
    assert_ne!(other.tombstone, erasure.tombstone);
    let missing: ErasureId = world.id("era_");
    let none = world.store.erasure(&tenant_id, &missing).await.unwrap();
    assert_eq!(none, None);
    let elsewhere = world.tenant("other").await;
    let none = world.store.erasure(&elsewhere, &tombstone.erasure_id).await;
    assert_eq!(none.unwrap(), None);
}

pub async fn what_the_palm_server_may_be_learning_is_erased_behind_it(world: World) {
    let scene = scene(world).await;
    let world = &scene.world;
    let enroll = scene.open(ENROLL_RIGHT).await;
    let lease = world.lease(&enroll, 2).await;
    let erasure = world.begins(&scene.user, 3).await;
    let tombstone = &erasure.tombstone;
    world.erases_challenges(tombstone, 4, 9).await;
    assert!(!world.is_gone(&enroll).await, "its attempt is under way");
    world.palms_are_erased(4).await;
    assert!(!world.completes(5, tombstone, Told::nothing()).await);
    // It comes back with a template that nobody has any more.
    scene.finishes_too_late(6, lease, added(9)).await;
    let due = world.store.due_palm_erasures(9).await.unwrap();
    let [PalmErasure { requested_at, .. }] = &due[..] else {
        panic!("{due:?}");
    };
    assert_eq!(*requested_at, at(6));
    assert_eq!(world.erases_challenges(tombstone, 7, 9).await, 1);
    assert!(!world.completes(7, tombstone, Told::nothing()).await);
    world.palms_are_erased(8).await;
    assert_eq!(world.erasure(tombstone).await.palm_server_at, Some(at(8)));
    let told = Told::tenant(&["erasure_completed"], &["erasure.completed"]);
    assert!(world.completes(9, tombstone, told).await);
}

pub async fn a_tombstone_erases_who_came_back_and_nobody_else(world: World) {
    let tenant_id = world.tenant("acme").await;
    let other = world.tenant("other").await;
    let user = world.consenting_user(&tenant_id, "ada").await;
    let tombstone = Tombstone {
        tenant_id: tenant_id.clone(),
        erasure_id: world.id("era_"),
        internal_id: user.internal_id.clone(),
    };
    let elsewhere = Tombstone {
        tenant_id: other,
        ..tombstone.clone()
    };
    let told = Told::tenant(&["user_deleted"], &["user.deleted"]);
    for (tombstone, told, erased) in [
        (&elsewhere, Told::nothing(), false),
        (&tombstone, told, true),
        (&tombstone, Told::nothing(), false),
    ] {
        let again = world
            .commits(world.change_at(5), told, async |change| {
                world.store.erase_again(change, tombstone.clone()).await
            })
            .await;
        assert_eq!(again, erased);
    }
    let erasure = world.erasure(&tombstone).await;
    assert_eq!(erasure.tombstone, tombstone);
    world.palms_are_erased(6).await;
    let told = Told::tenant(&["erasure_completed"], &["erasure.completed"]);
    assert!(world.completes(7, &tombstone, told).await);
    let successor = world.user(&tenant_id, "ada").await;
    let again = world.store.erase_again(world.change(), tombstone).await;
    assert!(!again.unwrap(), "another person of the same id");
    assert_eq!(world.again(&successor).await, successor);
}

pub async fn erasures_are_listed_while_they_run_and_as_tombstones_for_good(world: World) {
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let mut begun = Vec::new();
    for (tenant_id, user_id, seconds) in [
        (&other, "a", 1),
        (&acme, "b", 3),
        (&acme, "c", 2),
        (&other, "d", 2),
    ] {
        let user = world.user(tenant_id, user_id).await;
        begun.push(world.begins(&user, seconds).await);
    }
    let order = [&begun[0], &begun[2], &begun[3], &begun[1]];
    for limit in [1, 2, 9] {
        let mut running: Vec<Erasure> = Vec::new();
        loop {
            let page = world.store.running_erasures(running.last(), limit).await;
            let page = page.unwrap();
            assert!(page.len() <= limit.try_into().unwrap());
            if page.is_empty() {
                break;
            }
            running.extend(page);
        }
        assert_eq!(running.iter().collect::<Vec<_>>(), order);
    }
    world.palms_are_erased(5).await;
    let told = Told::tenant(&["erasure_completed"], &["erasure.completed"]);
    assert!(world.completes(20, &begun[2].tombstone, told).await);
    let running = world.store.running_erasures(None, 9).await.unwrap();
    let running: Vec<_> = running.iter().map(|it| &it.tombstone).collect();
    let expected = [
        &begun[0].tombstone,
        &begun[3].tombstone,
        &begun[1].tombstone,
    ];
    assert_eq!(running, expected);
    let mut expected: Vec<_> = begun.iter().map(|it| it.tombstone.clone()).collect();
    expected.sort_by_key(|it| (it.tenant_id.clone(), it.erasure_id.clone()));
    for limit in [1, 3, 9] {
        let mut found: Vec<Tombstone> = Vec::new();
        loop {
            let page = world.store.tombstones(found.last(), limit).await.unwrap();
            assert!(page.len() <= limit.try_into().unwrap());
            if page.is_empty() {
                break;
            }
            found.extend(page);
        }
        assert_eq!(found, expected);
    }
}
