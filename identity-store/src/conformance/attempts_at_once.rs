//! Attempts at several challenges of one user, and several at one challenge.

use identity_challenge::{ChallengeKind, UserThrottle};
use tokio::task::JoinSet;

use super::fixtures::{ENROLL_RIGHT, LEASE, World, at};
use super::scene::{Scene, scene};
use super::verdicts::{matched, not_found, undecided};
use super::witness::Told;
use crate::{AttemptStart, Conflict, SampleDigest, StoredChallenge, VendorState};

impl Scene {
    /// What comes of samples that are sent at once.
    async fn at_once(
        &self,
        samples: impl IntoIterator<Item = (&StoredChallenge, SampleDigest)>,
    ) -> Vec<crate::Result<AttemptStart>> {
        let mut calls = JoinSet::new();
        for (challenge, sample) in samples {
            let (change, store) = (
                self.world.change(),
                std::sync::Arc::clone(&self.world.store),
            );
            let (tenant_id, id) = (self.tenant_id.clone(), challenge.challenge_id.clone());
            calls.spawn(async move {
                let start = store.begin_attempt(change, &tenant_id, &id, sample, at(LEASE));
                start.await
            });
        }
        calls.join_all().await
    }

    async fn verifications<const N: usize>(&self) -> [StoredChallenge; N] {
        let mut opened = Vec::new();
        for _ in 0..N {
            opened.push(self.open(ChallengeKind::Verify).await);
        }
        opened.try_into().unwrap()
    }

    async fn waits(&self, challenge: &StoredChallenge, seconds: i64) {
        let start = self.world.begin(challenge, seconds, self.sample()).await;
        let expected = at(seconds) + UserThrottle::DELAY;
        let waits = matches!(start, Ok(AttemptStart::Throttled { until: Some(until), .. }) if until == expected);
        assert!(waits, "{start:?}");
    }
}

fn begun(starts: &[crate::Result<AttemptStart>]) -> usize {
    let is_begun = |start: &&_| matches!(start, Ok(AttemptStart::Begun { .. }));
    starts.iter().filter(is_begun).count()
}

fn is_replayed(start: &crate::Result<AttemptStart>) -> bool {
    matches!(start, Ok(AttemptStart::Replayed { .. }))
}

pub async fn of_many_samples_at_once_one_is_decided(world: World) {
    let scene = scene(world).await;
    let challenge = scene.open(ChallengeKind::Verify).await;
    let samples = (0..32).map(|_| (&challenge, scene.sample()));
    assert_eq!(begun(&scene.at_once(samples).await), 1);
}

pub async fn of_one_sample_at_many_challenges_at_once_one_is_decided(world: World) {
    let scene = scene(world).await;
    let (challenges, sample) = (scene.verifications::<5>().await, scene.sample());
    let starts = scene
        .at_once(challenges.iter().map(|it| (it, sample)))
        .await;
    assert_eq!(begun(&starts), 1);
    let replayed = starts.iter().filter(|start| is_replayed(start));
    assert_eq!(replayed.count(), 4, "{starts:?}");
}

pub async fn no_more_tries_are_let_go_at_once_than_one_after_the_other(world: World) {
    let scene = scene(world).await;
    let failed = scene.open(ChallengeKind::Verify).await;
    for _ in 0..3 {
        scene.world.attempt(&failed, 0, not_found()).await;
    }
    let challenges = scene.verifications::<5>().await;
    let samples = challenges.iter().map(|it| (it, scene.sample()));
    let starts = scene.at_once(samples).await;
    assert_eq!(begun(&starts), 2, "{starts:?}");
}

pub async fn a_sample_under_way_at_another_challenge_is_a_replay(world: World) {
    let scene = scene(world).await;
    let [first, second] = scene.verifications().await;
    let sample = scene.sample();
    let start = scene.world.begin(&first, 0, sample).await;
    let Ok(AttemptStart::Begun { lease, .. }) = start else {
        panic!("{start:?}");
    };
    let change = scene.world.change_at(1);
    let told = Told::tenant(&["verification_failed"], &[]);
    let again = scene.world.commits(change, told, async |change| {
        let (tenant_id, id) = (&scene.tenant_id, &second.challenge_id);
        let store = &scene.world.store;
        store
            .begin_attempt(change, tenant_id, id, sample, at(11))
            .await
    });
    let again = again.await;
    assert!(matches!(again, AttemptStart::Replayed { .. }), "{again:?}");
    // Nobody decided on it: it may be sent again, wherever.
    let nothing = undecided(VendorState::NotReached);
    scene.finishes(1, lease, nothing, Told::nothing()).await;
    let start = scene.world.begin(&second, 1, sample).await;
    assert!(matches!(start, Ok(AttemptStart::Begun { .. })), "{start:?}");
}

pub async fn a_sample_whose_decider_died_is_decided_once(world: World) {
    let scene = scene(world).await;
    let [first, second] = scene.verifications().await;
    let sample = scene.sample();
    let mut leases = Vec::new();
    for (challenge, seconds) in [(&first, 0), (&second, LEASE)] {
        match scene.world.begin(challenge, seconds, sample).await {
            Ok(AttemptStart::Begun { lease, .. }) => leases.push(lease),
            other => panic!("{other:?}"),
        }
    }
    let second = leases.pop().unwrap();
    let told = Told::tenant(&["verification_complete"], &["verification.complete"]);
    scene.finishes(LEASE, second, matched(), told).await;
    // It was only slow.
    scene.conflicts(&leases[0], Conflict::AttemptEnded).await;
}

pub async fn who_may_be_about_to_fail_too_often_waits(world: World) {
    let scene = scene(world).await;
    for _ in 0..2 {
        let failed = scene.open(ChallengeKind::Verify).await;
        for _ in 0..2 {
            scene.world.attempt(&failed, 0, not_found()).await;
        }
        scene.world.cancel_at(&failed, 0).await;
    }
    let [first, second] = scene.verifications().await;
    let enrolment = scene.open(ENROLL_RIGHT).await;
    // An enrolment is no try.
    scene.world.lease(&enrolment, 1).await;
    let lease = scene.world.lease(&first, 1).await;
    scene.waits(&second, 1).await;
    let told = Told::tenant(&["verification_complete"], &["verification.complete"]);
    scene.finishes(1, lease, matched(), told).await;
    scene.world.lease(&second, 1).await;
}

pub async fn a_try_whose_decider_died_holds_nobody_up_for_long(world: World) {
    let scene = scene(world).await;
    let challenges = scene.verifications::<5>().await;
    for challenge in &challenges {
        scene.world.lease(challenge, 0).await;
    }
    let device = scene.world.paired_device(&scene.tenant_id).await;
    let next = scene
        .world
        .open(&scene.user, &device, ChallengeKind::Verify)
        .await;
    scene.waits(&next, LEASE - 1).await;
    scene.world.lease(&next, LEASE).await;
}
