use identity_challenge::{
    Answer, ChallengeKind, ChallengeStatus, EnrollOutcome, PalmType, Refusal, UserThrottle,
};

use super::fixtures::{ENROLL_RIGHT, LEASE, World, at};
use super::scene::scene;
use super::verdicts::{added, duplicate, enrolled, matched, not_found, undecided};
use super::witness::Told;
use serde_json::{Value, json};

use crate::{AttemptStart, Chain, Conflict, Palm, PalmErasure, Severity, VendorState};

pub async fn an_enrolment_records_the_palm(world: World) {
    let scene = scene(world).await;
    let challenge = scene.open(ENROLL_RIGHT).await;
    let lease = scene.world.lease(&challenge, 1).await;
    let told = Told::tenant(&["palm_enrolled"], &["enrollment.complete"]);
    let finished = scene.finishes(2, lease, added(77), told).await;
    assert_eq!(finished.answer, Answer::Enrolled { palm_id: 77 });
    let status = finished.record.challenge.status();
    assert_eq!(status, ChallengeStatus::Completed);
    let palm = |palm_type, palm_id, seconds| Palm {
        palm_type,
        palm_id,
        enrolled_at: at(seconds),
        device_id: scene.device.identity.device_id().clone(),
    };
    let expected = [palm(PalmType::Left, 41, 0), palm(PalmType::Right, 77, 2)];
    assert_eq!(scene.world.again(&scene.user).await.palms, expected);
    assert_eq!(scene.due().await, []);
}

pub async fn an_enrolment_that_the_vendor_refuses_is_over(world: World) {
    let scene = scene(world).await;
    for (outcome, reason, alerts) in [
        (
            EnrollOutcome::DuplicateBiometrics,
            "duplicate_biometrics",
            false,
        ),
        (EnrollOutcome::AlreadyEnrolled, "already_enrolled", false),
        (EnrollOutcome::LicenseCapacity, "license_capacity", true),
        (
            EnrollOutcome::QueryTypeRestricted,
            "query_type_restricted",
            false,
        ),
    ] {
        let challenge = scene.open(ENROLL_RIGHT).await;
        let lease = scene.world.lease(&challenge, 1).await;
        let told = if alerts {
            Told::tenant(
                &["palm_enrollment_failed"],
                &["enrollment.failed", "platform.ops_alert"],
            )
            .and_platform(&["ops_alert"])
        } else {
            Told::tenant(&["palm_enrollment_failed"], &["enrollment.failed"])
        };
        let finished = scene.finishes(2, lease, enrolled(outcome), told).await;
        let ended = finished.record.challenge;
        assert_eq!(ended.status_reason().unwrap().as_str(), reason);
        assert_eq!(scene.world.again(&scene.user).await, scene.user);
        assert_eq!(scene.due().await, []);
    }
}

pub async fn a_palm_that_is_another_users_too_is_told(world: World) {
    let scene = scene(world).await;
    let other = scene.world.enrolled_user(&scene.device, "bob").await;
    for (of, matched_user, outcome, event, webhook) in [
        (
            "bob",
            json!(other.internal_id),
            EnrollOutcome::DuplicateBiometrics,
            "palm_enrollment_failed",
            "enrollment.failed",
        ),
        (
            "nobody",
            Value::Null,
            EnrollOutcome::Added { palm_id: 77 },
            "palm_enrolled",
            "enrollment.complete",
        ),
    ] {
        let challenge = scene.open(ENROLL_RIGHT).await;
        let lease = scene.world.lease(&challenge, 1).await;
        let told = Told::tenant(
            &["palm_duplicate_detected", event],
            &["enrollment.duplicate_detected", webhook],
        );
        let finished = scene.finishes(2, lease, duplicate(outcome, of), told).await;
        assert!(finished.record.challenge.status().is_terminal());
        let chain = Chain::Tenant(scene.device.identity.tenant_id().clone());
        let rows = scene.world.audit(&chain).await;
        let detected = rows
            .iter()
            .rfind(|row| row.action == "palm_duplicate_detected")
            .unwrap();
        assert_eq!(detected.severity, Severity::High);
        assert_eq!(detected.metadata["matched_user"], matched_user);
        assert_eq!(detected.metadata["policy_version"], "p1");
        let enrolled = event == "palm_enrolled";
        assert_eq!(detected.metadata["enrolled"], enrolled);
    }
}

pub async fn an_enrolment_heeds_the_lock_alone(world: World) {
    let scene = scene(world).await;
    let enrolment = scene.open(ENROLL_RIGHT).await;
    let mut now = 0;
    for failures in 1..=UserThrottle::LOCK_AT {
        if failures == UserThrottle::DELAY_FROM + 1 {
            // One who has to wait before a verification may enrol meanwhile.
            let lease = scene.world.lease(&enrolment, 0).await;
            let verdict = undecided(VendorState::NotReached);
            scene.finishes(0, lease, verdict, Told::nothing()).await;
        }
        let challenge = scene
            .world
            .open_at(now, &scene.user, &scene.device, ChallengeKind::Verify)
            .await;
        scene.world.attempt(&challenge, now, not_found()).await;
        scene.world.cancel_at(&challenge, now).await;
        if failures >= UserThrottle::DELAY_FROM {
            now += UserThrottle::DELAY.whole_seconds();
        }
    }
    let start = scene.world.begin(&enrolment, 1, scene.sample()).await;
    let locked = matches!(start, Ok(AttemptStart::Throttled { until: None, .. }));
    assert!(locked, "{start:?}");
}

pub async fn an_enrolment_in_doubt_is_reconciled_first(world: World) {
    let scene = scene(world).await;
    let challenge = scene.open(ENROLL_RIGHT).await;
    for (seconds, vendor, in_doubt) in [
        (0, VendorState::NotReached, false),
        (1, VendorState::Answered, false),
        (2, VendorState::Unknown, false),
        (3, VendorState::Answered, true),
    ] {
        let (lease, reconcile) = scene.reconciles(&challenge, seconds).await;
        assert_eq!(reconcile, in_doubt, "{seconds}");
        let verdict = undecided(vendor);
        scene
            .finishes(seconds, lease, verdict, Told::nothing())
            .await;
    }
    let failed = scene.open(ENROLL_RIGHT).await;
    let (lease, _) = scene.reconciles(&failed, 0).await;
    let alarm = Told::tenant(&[], &["platform.ops_alert"])
        .and_platform(&["palm_vendor_unauthorized", "ops_alert"]);
    let verdict = undecided(VendorState::Refused(50000));
    scene.finishes(0, lease, verdict, alarm).await;
    let (_, reconcile) = scene.reconciles(&failed, 1).await;
    assert!(
        reconcile,
        "the vendor's store failed, perhaps after it took the palm"
    );
    let abandoned = scene.open(ENROLL_RIGHT).await;
    scene.reconciles(&abandoned, 0).await;
    let (lease, reconcile) = scene.reconciles(&abandoned, LEASE).await;
    assert!(
        reconcile,
        "an attempt that nobody finished may have enrolled the palm"
    );
    let told = Told::tenant(&["palm_enrolled"], &["enrollment.complete"]);
    scene.finishes(LEASE, lease, added(5), told).await;
    // The palm is the user's: the challenge that is still in doubt leaves nothing to erase.
    scene.cancel(&challenge).await;
    assert_eq!(scene.due().await, []);
}

pub async fn a_template_that_stands_in_the_way_is_due_for_erasure(world: World) {
    let scene = scene(world).await;
    let challenge = scene.open(ENROLL_RIGHT).await;
    let lost = undecided(VendorState::Unknown);
    scene.world.attempt(&challenge, 0, lost).await;
    assert_eq!(scene.due().await, []);
    let (lease, reconcile) = scene.reconciles(&challenge, 1).await;
    assert!(reconcile);
    let verdict = undecided(VendorState::InTheWay);
    scene.finishes(1, lease, verdict, Told::nothing()).await;
    let due = scene.due().await;
    assert_eq!(due.len(), 1, "{due:?}");
    assert_eq!(
        (due[0].palm_type, due[0].requested_at),
        (PalmType::Right, at(1))
    );
    // While it is erased, and until nobody can be about to erase it any more, nothing is enrolled.
    let (store, erasure) = (&scene.world.store, &due[0]);
    let claimed = store.claim_palm_erasure(erasure, at(2), at(9)).await;
    assert!(claimed.unwrap());
    let start = scene.world.begin(&challenge, 8, scene.sample()).await;
    assert!(
        matches!(start, Ok(AttemptStart::Erasing { until, .. }) if until == at(9)),
        "{start:?}"
    );
    let (lease, reconcile) = scene.reconciles(&challenge, 9).await;
    assert!(reconcile, "nobody knows that it was erased");
    let told = Told::tenant(&["palm_enrolled"], &["enrollment.complete"]);
    scene.finishes(9, lease, added(5), told).await;
    assert_eq!(scene.due().await, []);
}

pub async fn an_enrolment_that_ends_in_doubt_is_taken_back(world: World) {
    let scene = scene(world).await;
    let erasure = |seconds| PalmErasure {
        tenant_id: scene.tenant_id.clone(),
        user_id: scene.user.user_id.clone(),
        palm_type: PalmType::Right,
        requested_at: at(seconds),
    };
    let clear = async || {
        for due in scene.due().await {
            let finished = scene
                .world
                .store
                .finish_palm_erasure(scene.world.change(), due);
            finished.await.unwrap();
        }
    };
    // Canceled while an attempt is under way.
    let challenge = scene.open(ENROLL_RIGHT).await;
    scene.world.lease(&challenge, 0).await;
    scene.cancel(&challenge).await;
    assert_eq!(scene.due().await, [erasure(1)]);
    clear().await;
    // Expired after a time-out.
    let challenge = scene.open(ENROLL_RIGHT).await;
    let verdict = undecided(VendorState::Unknown);
    scene.world.attempt(&challenge, 0, verdict).await;
    assert_eq!(scene.due().await, []);
    let swept = scene
        .world
        .store
        .expire_challenges(scene.world.change_at(120), 9);
    assert_eq!(swept.await.unwrap().len(), 1);
    assert_eq!(scene.due().await, [erasure(120)]);
    clear().await;
    // Refused by the vendor after a time-out.
    let challenge = scene.open(ENROLL_RIGHT).await;
    let verdict = undecided(VendorState::Unknown);
    scene.world.attempt(&challenge, 0, verdict).await;
    let verdict = enrolled(EnrollOutcome::LicenseCapacity);
    scene.world.attempt(&challenge, 3, verdict).await;
    assert_eq!(scene.due().await, [erasure(3)]);
    clear().await;
    // Nothing was in doubt.
    let challenge = scene.open(ENROLL_RIGHT).await;
    let verdict = undecided(VendorState::NotReached);
    scene.world.attempt(&challenge, 0, verdict).await;
    scene.cancel(&challenge).await;
    assert_eq!(scene.due().await, []);
}

pub async fn what_happened_is_noted_although_the_challenge_is_over(world: World) {
    let scene = scene(world).await;
    let challenge = scene.open(ENROLL_RIGHT).await;
    let sample = scene.sample();
    let AttemptStart::Begun { lease, .. } = scene.world.begin(&challenge, 0, sample).await.unwrap()
    else {
        panic!("the sample is new");
    };
    scene.cancel(&challenge).await;
    let before = scene.world.challenge(&challenge).await;
    for due in scene.due().await {
        let finished = scene
            .world
            .store
            .finish_palm_erasure(scene.world.change(), due);
        finished.await.unwrap();
    }
    let refusal = scene.finishes_too_late(4, lease.clone(), added(9)).await;
    let status = ChallengeStatus::Canceled;
    assert_eq!(refusal, Refusal::Terminal { status });
    let due = scene.due().await;
    assert_eq!(due.len(), 1, "{due:?}");
    assert_eq!(
        (due[0].palm_type, due[0].requested_at),
        (PalmType::Right, at(4))
    );
    assert_eq!(scene.world.again(&scene.user).await, scene.user);
    assert_eq!(scene.world.challenge(&challenge).await, before);
    scene.conflicts(&lease, Conflict::AttemptEnded).await;
    let next = scene.open(ENROLL_RIGHT).await;
    let start = scene.world.begin(&next, 5, sample).await.unwrap();
    assert!(matches!(start, AttemptStart::Replayed { .. }), "{start:?}");
}

pub async fn a_verdict_of_another_kind_is_refused_and_not_noted(world: World) {
    let scene = scene(world).await;
    let challenge = scene.open(ENROLL_RIGHT).await;
    let lease = scene.world.lease(&challenge, 0).await;
    let refusal = scene.finishes_too_late(1, lease.clone(), matched()).await;
    assert!(matches!(refusal, Refusal::OtherKind { .. }), "{refusal:?}");
    // The attempt still is the caller's to decide.
    let told = Told::tenant(&["palm_enrolled"], &["enrollment.complete"]);
    scene.finishes(2, lease, added(3), told).await;
}

pub async fn a_time_out_after_the_end_is_taken_back(world: World) {
    let scene = scene(world).await;
    let challenge = scene.open(ENROLL_RIGHT).await;
    let lease = scene.world.lease(&challenge, 0).await;
    scene.cancel(&challenge).await;
    for due in scene.due().await {
        let finished = scene
            .world
            .store
            .finish_palm_erasure(scene.world.change(), due);
        finished.await.unwrap();
    }
    let verdict = undecided(VendorState::Unknown);
    scene.finishes_too_late(4, lease, verdict).await;
    let due = scene.due().await;
    assert_eq!(due.len(), 1, "{due:?}");
    assert_eq!(due[0].requested_at, at(4));
}
