use identity_challenge::{
    Answer, ChallengeKind, ChallengeStatus, ReasonCode, Refusal, UserThrottle, VerifyOutcome,
};

use super::fixtures::{ENROLL_RIGHT, LEASE, World, at};
use super::scene::scene;
use super::verdicts::{matched, not_found, scores, undecided, verified};
use super::witness::Told;
use crate::{
    AttemptLease, AttemptStanding, AttemptStart, Chain, Conflict, Error, Severity, UserStatus,
    VendorState,
};

pub async fn a_sample_takes_the_challenge_up(world: World) {
    let scene = scene(world).await;
    let challenge = scene.open(ChallengeKind::Verify).await;
    let sample = scene.sample();
    let start = scene
        .world
        .commits(scene.world.change_at(1), Told::nothing(), async |change| {
            let (tenant_id, id) = (&scene.tenant_id, &challenge.challenge_id);
            let store = &scene.world.store;
            store
                .begin_attempt(change, tenant_id, id, sample, at(11))
                .await
        })
        .await;
    let AttemptStart::Begun {
        lease,
        record,
        reconcile,
    } = start
    else {
        panic!("{start:?}");
    };
    let expected = AttemptLease {
        tenant_id: scene.tenant_id.clone(),
        challenge_id: challenge.challenge_id.clone(),
        number: 1,
        sample,
        until: at(11),
    };
    assert_eq!(lease, expected);
    assert!(!reconcile);
    assert_eq!(record.challenge.status(), ChallengeStatus::InProgress);
    assert_eq!(scene.world.challenge(&challenge).await, *record);
}

pub async fn one_attempt_is_decided_at_a_time(world: World) {
    let scene = scene(world).await;
    let challenge = scene.open(ChallengeKind::Verify).await;
    let other = scene.open(ChallengeKind::Verify).await;
    let lease = scene.world.lease(&challenge, 0).await;
    let busy = scene
        .world
        .refuses(scene.world.change_at(LEASE - 1), async |change| {
            let (tenant_id, id) = (&scene.tenant_id, &challenge.challenge_id);
            let (sample, store) = (scene.sample(), &scene.world.store);
            store
                .begin_attempt(change, tenant_id, id, sample, at(99))
                .await
        })
        .await;
    let in_progress = matches!(
        busy,
        Error::Conflict(Conflict::AttemptInProgress { number: 1 })
    );
    assert!(in_progress, "{busy:?}");
    scene.world.lease(&other, 1).await;
    let told = Told::tenant(&["verification_failed"], &[]);
    scene.finishes(1, lease.clone(), not_found(), told).await;
    let next = scene.world.lease(&challenge, 2).await;
    assert_eq!(next.number, 2);
    scene.conflicts(&lease, Conflict::AttemptEnded).await;
}

pub async fn a_lease_passes_on_when_it_ends(world: World) {
    let scene = scene(world).await;
    let challenge = scene.open(ChallengeKind::Verify).await;
    let first = scene.world.lease(&challenge, 0).await;
    let second = scene.world.lease(&challenge, LEASE).await;
    assert_eq!(second.number, 2);
    scene.conflicts(&first, Conflict::AttemptEnded).await;
    // Nobody else took it: it may be finished late.
    let told = Told::tenant(&["verification_complete"], &["verification.complete"]);
    let late = LEASE * 3;
    scene.finishes(late, second.clone(), matched(), told).await;
    scene.conflicts(&second, Conflict::AttemptEnded).await;
}

pub async fn a_match_completes_the_verification(world: World) {
    let scene = scene(world).await;
    let failed = scene.open(ChallengeKind::Verify).await;
    scene.world.attempt(&failed, 0, not_found()).await;
    let challenge = scene.open(ChallengeKind::Verify).await;
    let lease = scene.world.lease(&challenge, 1).await;
    let told = Told::tenant(&["verification_complete"], &["verification.complete"]);
    let finished = scene.finishes(2, lease, matched(), told).await;
    let record = finished.record;
    assert_eq!(finished.answer, Answer::Completed { scores: scores() });
    assert_eq!(record.challenge.status(), ChallengeStatus::Completed);
    assert_eq!(record.challenge.completed_at(), Some(at(2)));
    assert_eq!(record.scores, Some(*scores().as_array()));
    assert_eq!(record.receipt, Some("eyJ.receipt".to_owned()));
    assert_eq!(scene.world.challenge(&challenge).await, record);
    // The match starts the count of failed tries again.
    assert_eq!(scene.world.again(&scene.user).await, scene.user);
    let event = scene.world.outbox().await.pop().unwrap();
    assert_eq!(event.data["receipt"], "eyJ.receipt");
    assert_eq!(event.data["user_id"], "ada");
    assert_eq!(event.data["metadata"], record.metadata);
    let row = scene
        .world
        .audit(&Chain::Tenant(scene.tenant_id.clone()))
        .await
        .pop()
        .unwrap();
    assert_eq!(row.metadata["policy_version"], "p1");
    assert_eq!(row.metadata["user_id"], scene.user.internal_id.as_str());
}

pub async fn failed_tries_are_told_and_the_last_ends_the_verification(world: World) {
    let scene = scene(world).await;
    let challenge = scene.open(ChallengeKind::Verify).await;
    let low = verified(VerifyOutcome::LowConfidence { scores: scores() });
    for (seconds, verdict, reason, left) in [
        (1, not_found(), "not_found", 2),
        (2, low, "low_confidence", 1),
        (3, not_found(), "not_found", 0),
    ] {
        let lease = scene.world.lease(&challenge, seconds).await;
        let webhooks = if left == 0 {
            &["verification.failed"][..]
        } else {
            &[]
        };
        let told = Told::tenant(&["verification_failed"], webhooks);
        let finished = scene.finishes(seconds, lease, verdict, told).await;
        assert_eq!(finished.record.challenge.attempts().remaining(), left);
        assert_eq!(scene.world.challenge(&challenge).await, finished.record);
        let user = scene.world.again(&scene.user).await;
        assert_eq!(user.throttle.consecutive_failures(), 3 - u32::from(left));
        assert_eq!(user.throttle.last_failure_at(), Some(at(seconds)));
        let chain = Chain::Tenant(scene.tenant_id.clone());
        let row = scene.world.audit(&chain).await.pop().unwrap();
        assert_eq!(row.metadata["reason"], reason);
        assert_eq!(row.metadata["attempt"], 3 - left);
    }
    let ended = scene.world.challenge(&challenge).await.challenge;
    assert_eq!(ended.status(), ChallengeStatus::Failed);
    assert_eq!(ended.status_reason().unwrap().as_str(), "max_attempts");
    let after = scene.world.begin(&challenge, 4, scene.sample()).await;
    let refused = matches!(after, Err(Error::Challenge(Refusal::Terminal { .. })));
    assert!(refused, "{after:?}");
}

pub async fn whose_palm_it_was_is_told_to_the_audit_trail_alone(world: World) {
    let scene = scene(world).await;
    let other = scene.world.user(&scene.tenant_id, "mallory").await;
    for (matched_user, internal_id) in [
        ("mallory", Some(other.internal_id.as_str())),
        ("stranger", None),
        ("no user id!", None),
    ] {
        let challenge = scene.open(ChallengeKind::Verify).await;
        let verdict = verified(VerifyOutcome::IdentityMismatch {
            matched_user: matched_user.to_owned(),
            scores: scores(),
        });
        let lease = scene.world.lease(&challenge, 0).await;
        let told = Told::tenant(&["verification_failed"], &[]);
        scene.finishes(0, lease, verdict, told).await;
        let chain = Chain::Tenant(scene.tenant_id.clone());
        let row = scene.world.audit(&chain).await.pop().unwrap();
        assert_eq!(row.metadata["matched_user"].as_str(), internal_id);
        assert_eq!(row.severity, Severity::High);
    }
    let told = format!("{:?}", scene.world.outbox().await.last());
    assert!(!told.contains("mallory"), "{told}");
}

pub async fn a_vendor_that_does_not_decide_costs_no_try(world: World) {
    let scene = scene(world).await;
    let challenge = scene.open(ChallengeKind::Verify).await;
    let sample = scene.sample();
    for vendor in [
        VendorState::NotReached,
        VendorState::Answered,
        VendorState::Unknown,
    ] {
        // The same sample may be sent again.
        let start = scene.world.begin(&challenge, 1, sample).await.unwrap();
        let AttemptStart::Begun {
            lease, reconcile, ..
        } = start
        else {
            panic!("{start:?}");
        };
        assert!(!reconcile, "only an enrolment leaves something behind");
        let verdict = undecided(vendor);
        let finished = scene.finishes(1, lease, verdict, Told::nothing()).await;
        let after = finished.record.challenge;
        assert_eq!(after.status(), ChallengeStatus::InProgress);
        assert_eq!(after.attempts().used(), 0);
    }
    assert_eq!(scene.world.again(&scene.user).await, scene.user);
}

pub async fn a_vendor_that_refuses_the_platform_is_an_alert(world: World) {
    let scene = scene(world).await;
    let challenge = scene.open(ChallengeKind::Verify).await;
    let lease = scene.world.lease(&challenge, 1).await;
    let told = Told::tenant(&[], &["platform.ops_alert"])
        .and_platform(&["palm_vendor_unauthorized", "ops_alert"]);
    let verdict = undecided(VendorState::Refused(401));
    scene.finishes(1, lease, verdict, told).await;
    let rows = scene.world.audit(&Chain::Platform).await;
    let [.., refused, alert] = &rows[..] else {
        panic!("{rows:?}");
    };
    assert_eq!(refused.metadata["code"], 401);
    assert_eq!(alert.metadata["kind"], "vendor_unauthorized");
    assert_eq!(alert.severity, Severity::Critical);
    let event = scene.world.outbox().await.pop().unwrap();
    assert_eq!(event.tenant_id, None);
}

pub async fn a_sample_that_was_decided_on_is_known_again(world: World) {
    let scene = scene(world).await;
    let sample = scene.sample();
    let first = scene.open(ChallengeKind::Verify).await;
    let AttemptStart::Begun { lease, .. } = scene.world.begin(&first, 0, sample).await.unwrap()
    else {
        panic!("the sample is new");
    };
    let told = Told::tenant(&["verification_failed"], &[]);
    scene.finishes(0, lease, not_found(), told).await;

    let second = scene.open(ChallengeKind::Verify).await;
    let enrolment = scene.open(ENROLL_RIGHT).await;
    for (challenge, told, used) in [
        (&first, Told::tenant(&["verification_failed"], &[]), 1),
        (&second, Told::tenant(&["verification_failed"], &[]), 0),
        (&enrolment, Told::nothing(), 0),
    ] {
        let start = scene
            .world
            .commits(scene.world.change_at(1), told, async |change| {
                let (tenant_id, id) = (&scene.tenant_id, &challenge.challenge_id);
                let store = &scene.world.store;
                store
                    .begin_attempt(change, tenant_id, id, sample, at(11))
                    .await
            })
            .await;
        let AttemptStart::Replayed { record } = start else {
            panic!("{start:?}");
        };
        assert_eq!(record.challenge.status(), ChallengeStatus::InProgress);
        assert_eq!(record.challenge.attempts().used(), used);
        assert_eq!(scene.world.challenge(challenge).await, *record);
    }
    let chain = Chain::Tenant(scene.tenant_id.clone());
    let rows = scene.world.audit(&chain).await;
    let reason = &rows.last().unwrap().metadata["reason"];
    assert_eq!(reason, "capture_replayed");
    // A replay holds nobody up.
    assert_eq!(scene.world.lease(&second, 1).await.number, 1);

    let other = scene.world.tenant("other").await;
    let device = scene.world.paired_device(&other).await;
    let user = scene.world.enrolled_user(&device, "ada").await;
    let elsewhere = scene
        .world
        .open(&user, &device, ChallengeKind::Verify)
        .await;
    let start = scene.world.begin(&elsewhere, 1, sample).await.unwrap();
    assert!(matches!(start, AttemptStart::Begun { .. }), "{start:?}");
}

pub async fn what_each_attempt_was_answered_with_is_known(world: World) {
    let scene = scene(world).await;
    let challenge = scene.open(ChallengeKind::Verify).await;
    let attempt = async |number| {
        let (tenant_id, id) = (&scene.tenant_id, &challenge.challenge_id);
        let read = scene.world.store.attempt(tenant_id, id, number).await;
        read.unwrap()
    };
    let failed = Told::tenant(&["verification_failed"], &[]);
    let completed = Told::tenant(&["verification_complete"], &["verification.complete"]);
    let mut finished = Vec::new();
    for (verdict, told, reason_code, decided) in [
        (not_found(), failed, Some(ReasonCode::NotFound), 1),
        (
            undecided(VendorState::NotReached),
            Told::nothing(),
            Some(ReasonCode::ServiceUnavailable),
            1,
        ),
        (matched(), completed, None, 2),
    ] {
        let lease = scene.world.lease(&challenge, 0).await;
        let number = lease.number;
        assert_eq!(attempt(number + 1).await, None);
        let until = at(LEASE);
        assert_eq!(
            attempt(number).await,
            Some(AttemptStanding::Unfinished { until })
        );
        scene.finishes(0, lease, verdict, told).await;
        finished.push(AttemptStanding::Finished {
            reason_code,
            decided,
        });
        for (number, standing) in (1..).zip(&finished) {
            assert_eq!(attempt(number).await, Some(*standing), "{number}");
        }
    }
}

pub async fn an_attempt_that_nobody_finished_stands_as_the_one_in_its_place(world: World) {
    let scene = scene(world).await;
    let challenge = scene.open(ChallengeKind::Verify).await;
    let attempt = async |number| {
        let (tenant_id, id) = (&scene.tenant_id, &challenge.challenge_id);
        let read = scene.world.store.attempt(tenant_id, id, number).await;
        read.unwrap().unwrap()
    };
    for seconds in [0, LEASE] {
        scene.world.lease(&challenge, seconds).await;
    }
    let until = at(LEASE * 2);
    assert_eq!(attempt(1).await, AttemptStanding::Unfinished { until });
    let last = LEASE * 2;
    scene.world.attempt(&challenge, last, not_found()).await;
    let third = AttemptStanding::Finished {
        reason_code: Some(ReasonCode::NotFound),
        decided: 1,
    };
    scene.world.attempt(&challenge, last, matched()).await;
    for number in [1, 2, 3] {
        assert_eq!(attempt(number).await, third, "{number}");
    }
}

pub async fn an_attempt_that_passed_on_is_not_under_way_for_a_clock_that_is_behind(world: World) {
    let scene = scene(world).await;
    let challenge = scene.open(ChallengeKind::Verify).await;
    let (first, sample) = (scene.sample(), scene.sample());
    let begun = scene.world.begin(&challenge, 1, first).await;
    assert!(matches!(begun, Ok(AttemptStart::Begun { .. })), "{begun:?}");
    scene
        .world
        .attempt(&challenge, 1 + LEASE, not_found())
        .await;
    let third = scene.world.begin(&challenge, LEASE, sample).await.unwrap();
    let AttemptStart::Begun { lease, .. } = third else {
        panic!("{third:?}");
    };
    assert_eq!(lease.number, 3);
    // Nobody can decide on the first sample under its first lease any more.
    let other = scene.open(ChallengeKind::Verify).await;
    let again = scene.world.begin(&other, LEASE, first).await;
    assert!(matches!(again, Ok(AttemptStart::Begun { .. })), "{again:?}");
}

pub async fn who_failed_often_waits_and_who_failed_too_often_is_locked(world: World) {
    let scene = scene(world).await;
    let delay = UserThrottle::DELAY.whole_seconds();
    let mut seconds = 0;
    for failures in 1..=UserThrottle::LOCK_AT {
        let locks = failures == UserThrottle::LOCK_AT;
        let challenge = scene
            .world
            .open_at(seconds, &scene.user, &scene.device, ChallengeKind::Verify)
            .await;
        let lease = scene.world.lease(&challenge, seconds).await;
        let told = if locks {
            Told::tenant(&["verification_failed", "user_locked"], &["user.locked"])
        } else {
            Told::tenant(&["verification_failed"], &[])
        };
        scene.finishes(seconds, lease, not_found(), told).await;
        let until = if locks {
            Some(None)
        } else {
            (failures >= UserThrottle::DELAY_FROM).then_some(Some(at(seconds + delay)))
        };
        let now = seconds + delay - 1;
        match (
            scene.world.begin(&challenge, now, scene.sample()).await,
            until,
        ) {
            (Ok(AttemptStart::Begun { .. }), None) => {}
            (Ok(AttemptStart::Throttled { until, record }), Some(expected)) => {
                assert_eq!(until, expected);
                assert_eq!(record.challenge.status(), ChallengeStatus::InProgress);
            }
            (other, _) => panic!("{failures}: {other:?}"),
        }
        scene.world.cancel_at(&challenge, now).await;
        seconds += delay;
    }
    let locked = scene.world.again(&scene.user).await;
    assert_eq!(locked.status, UserStatus::Locked);
}

pub async fn a_verdict_after_the_end_moves_nothing(world: World) {
    let scene = scene(world).await;
    let challenge = scene.open(ChallengeKind::Verify).await;
    let lease = scene.world.lease(&challenge, 0).await;
    let before = scene.world.challenge(&challenge).await;
    let refusal = scene.finishes_too_late(120, lease, matched()).await;
    let expires_at = at(120);
    assert_eq!(refusal, Refusal::Expired { expires_at });
    assert_eq!(scene.world.challenge(&challenge).await, before);
    assert_eq!(scene.due().await, []);
}
