use std::sync::Arc;

use identity_challenge::{ChallengeKind, PalmType};

use super::fixtures::{ENROLL_LEFT, ENROLL_RIGHT, LEASE, World, at};
use super::scene::{Scene, scene};
use super::verdicts::{added, undecided};
use super::witness::Told;
use crate::{AttemptStart, Conflict, PalmErasure, VendorState};

impl Scene {
    /// Makes both palms due for erasure, and lets the user agree to be enrolled again.
    async fn taken_back(&self) -> [PalmErasure; 2] {
        let (store, user) = (&self.world.store, &self.user);
        let change = self.world.change_at(1);
        let withdrawn = store.withdraw_consent(change, &self.tenant_id, &user.user_id);
        withdrawn.await.unwrap();
        let again = self.world.consent(user, true);
        let granted = store.record_consent(self.world.change_at(1), again).await;
        granted.unwrap();
        let mut due = self.due().await;
        due.sort_by_key(|erasure| erasure.palm_type);
        let due: [PalmErasure; 2] = due.try_into().unwrap();
        assert_eq!(due[0].palm_type, PalmType::Left);
        due
    }

    async fn claims(&self, erasure: &PalmErasure, seconds: i64, until: i64) -> bool {
        let store = &self.world.store;
        let claimed = store.claim_palm_erasure(erasure, at(seconds), at(until));
        claimed.await.unwrap()
    }
}

pub async fn an_erasure_is_taken_up_by_one_at_a_time(world: World) {
    let scene = scene(world).await;
    let [left, right] = scene.taken_back().await;
    assert!(scene.claims(&left, 2, 10).await);
    assert!(!scene.claims(&left, 9, 20).await);
    assert!(scene.claims(&right, 9, 20).await, "each palm for itself");
    assert!(scene.claims(&left, 10, 20).await, "the claim ran out");
    // It was another's claim.
    scene
        .world
        .store
        .release_palm_erasure(&left, at(10))
        .await
        .unwrap();
    assert!(!scene.claims(&left, 11, 30).await);
    scene
        .world
        .store
        .release_palm_erasure(&left, at(20))
        .await
        .unwrap();
    assert!(scene.claims(&left, 11, 30).await);
    assert_eq!(scene.due().await.len(), 2, "they stay due");
    let finished = scene
        .world
        .store
        .finish_palm_erasure(scene.world.change(), left.clone());
    finished.await.unwrap();
    assert!(!scene.claims(&left, 40, 50).await, "it is not due any more");
    let unknown = PalmErasure {
        requested_at: at(7),
        ..right
    };
    assert!(!scene.claims(&unknown, 40, 50).await);
}

pub async fn of_many_that_take_an_erasure_up_at_once_one_may(world: World) {
    let scene = scene(world).await;
    let [left, _] = scene.taken_back().await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (store, erasure) = (Arc::clone(&scene.world.store), left.clone());
        calls.spawn(async move {
            let claimed = store.claim_palm_erasure(&erasure, at(2), at(10));
            claimed.await.unwrap()
        });
    }
    let claimed = calls
        .join_all()
        .await
        .into_iter()
        .filter(|claimed| *claimed);
    assert_eq!(claimed.count(), 1);
}

pub async fn no_palm_is_enrolled_while_it_is_erased(world: World) {
    let scene = scene(world).await;
    let [left, right] = scene.taken_back().await;
    let challenge = scene
        .world
        .open_at(2, &scene.user, &scene.device, ENROLL_LEFT)
        .await;
    assert!(scene.claims(&left, 2, 10).await);
    assert!(scene.claims(&right, 2, 4).await);
    let sample = scene.sample();
    let start = scene.world.begin(&challenge, 3, sample).await.unwrap();
    let record = Box::new(scene.world.challenge(&challenge).await);
    let until = at(10);
    assert_eq!(start, AttemptStart::Erasing { record, until });
    // The claim that ran out is that of the other palm.
    let start = scene.world.begin(&challenge, 9, sample).await.unwrap();
    assert!(matches!(start, AttemptStart::Erasing { .. }), "{start:?}");
    let start = scene.world.begin(&challenge, 10, sample).await.unwrap();
    let AttemptStart::Begun {
        lease, reconcile, ..
    } = start
    else {
        panic!("{start:?}");
    };
    assert!(!reconcile, "nothing was started before");
    let told = Told::tenant(&["palm_enrolled"], &["enrollment.complete"]);
    scene.finishes(11, lease, added(8), told).await;
    assert_eq!(scene.due().await, [right]);
}

pub async fn an_erasure_that_was_given_back_or_carried_out_bars_no_enrolment(world: World) {
    let scene = scene(world).await;
    let [left, right] = scene.taken_back().await;
    for (kind, erasure) in [(ENROLL_LEFT, left), (ENROLL_RIGHT, right)] {
        let challenge = scene
            .world
            .open_at(2, &scene.user, &scene.device, kind)
            .await;
        assert!(scene.claims(&erasure, 2, 100).await);
        let start = scene.world.begin(&challenge, 3, scene.sample()).await;
        assert!(
            matches!(start, Ok(AttemptStart::Erasing { .. })),
            "{start:?}"
        );
        if kind == ENROLL_LEFT {
            scene
                .world
                .store
                .release_palm_erasure(&erasure, at(100))
                .await
                .unwrap();
        } else {
            let change = scene.world.change_at(3);
            let finished = scene.world.store.finish_palm_erasure(change, erasure);
            finished.await.unwrap();
        }
        scene.world.lease(&challenge, 4).await;
    }
}

pub async fn no_palm_is_erased_while_it_is_enrolled(world: World) {
    let scene = scene(world).await;
    let [left, right] = scene.taken_back().await;
    let challenge = scene
        .world
        .open_at(2, &scene.user, &scene.device, ENROLL_LEFT)
        .await;
    let lease = scene.world.lease(&challenge, 2).await;
    assert!(!scene.claims(&left, 3, 10).await);
    assert!(scene.claims(&right, 3, 10).await, "another palm");
    // Whatever becomes of the challenge, the palm server may still be learning the palm.
    scene.cancel(&challenge).await;
    assert!(!scene.claims(&left, 4, 10).await);
    scene
        .finishes_too_late(5, lease, undecided(VendorState::Unknown))
        .await;
    assert!(scene.claims(&left, 5, 10).await);

    // An attempt that nobody finished counts as long as its lease.
    let challenge = scene
        .world
        .open_at(20, &scene.user, &scene.device, ENROLL_RIGHT)
        .await;
    scene.world.lease(&challenge, 20).await;
    assert!(!scene.claims(&right, 20 + LEASE - 1, 40).await);
    assert!(scene.claims(&right, 20 + LEASE, 40).await);
}

pub async fn a_verification_and_an_erasure_do_not_wait_for_each_other(world: World) {
    let scene = scene(world).await;
    let verify = scene.open(ChallengeKind::Verify).await;
    scene.world.lease(&verify, 0).await;
    let [left, _] = scene.taken_back().await;
    assert!(scene.claims(&left, 2, 10).await);
}

pub async fn an_enrolment_is_not_finished_after_its_lease(world: World) {
    let scene = scene(world).await;
    let challenge = scene.open(ENROLL_RIGHT).await;
    let lease = scene.world.lease(&challenge, 0).await;
    // What it added may have been erased since.
    scene
        .world
        .conflicts(
            scene.world.change_at(LEASE),
            Conflict::AttemptEnded,
            async |change| {
                let lease = lease.clone();
                scene
                    .world
                    .store
                    .finish_attempt(change, lease, added(9))
                    .await
            },
        )
        .await;
    let (lease, reconcile) = scene.reconciles(&challenge, LEASE).await;
    assert!(reconcile);
    let told = Told::tenant(&["palm_enrolled"], &["enrollment.complete"]);
    scene.finishes(LEASE + 9, lease, added(9), told).await;
}
