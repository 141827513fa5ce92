//! Samples that race, and those who leave before they are decided on.

use std::time::Duration;

use biowave_client::Operation;
use biowave_client::simulator::Fault;
use http::Method;
use identity_challenge::{Outcome, Scores, VerifyOutcome};
use identity_store::{
    AttemptStart, AttemptVerdict, Change, Error, SampleDigest, StoredVerdict, VendorState,
};
use serde_json::Value;
use time::OffsetDateTime;

use crate::calls::{Answer, capture};
use crate::world::{World, world};

#[tokio::test]
async fn samples_of_one_challenge_that_race_are_one_call_and_one_outcome() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    let calls_before = world.palms.calls().len();
    let challenge = world.verify("ada", &scanner).await;
    // Late enough for all to arrive.
    world
        .palms
        .inject(Operation::Query, Fault::Late(Duration::from_millis(800)));
    let mut racers = tokio::task::JoinSet::new();
    for noise in 1..=8 {
        let caller = scanner.caller.clone();
        let path = format!("/v1/challenges/{challenge}/complete");
        racers.spawn(async move { caller.post(&path, capture(7, noise)).await.expect(200) });
    }
    let outcomes: Vec<Value> = racers.join_all().await;
    assert_eq!(outcomes[0]["status"], "completed", "{}", outcomes[0]);
    assert!(
        outcomes.iter().all(|outcome| *outcome == outcomes[0]),
        "{outcomes:?}"
    );
    assert_eq!(world.palms.calls().len() - calls_before, 1);
}

#[tokio::test]
async fn a_device_that_hangs_up_stops_no_decision() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    let challenge = world.verify("ada", &scanner).await;
    let calls_before = world.palms.calls().len();
    world
        .palms
        .inject(Operation::Query, Fault::Late(Duration::from_millis(300)));
    let path = format!("/v1/challenges/{challenge}/complete");
    let request = scanner
        .caller
        .request(Method::POST, &path)
        .json(&capture(7, 1));
    let sending = tokio::spawn(request.send());
    while world.palms.calls().len() == calls_before {
        tokio::task::yield_now().await;
    }
    sending.abort();
    assert!(sending.await.unwrap_err().is_cancelled());
    let waited = world
        .integrator()
        .get(&format!("/v1/challenges/{challenge}?wait=10"))
        .await;
    assert_eq!(waited.expect(200)["status"], "completed");
}

/// What a sample is answered whose challenge passes on, while the palm server is asked, to a replica whose
/// clock is a second before the challenge's end, and there `late` seconds later to a match.
async fn passed_on(world: &World, late: u64) -> (Answer, Result<StoredVerdict, Error>) {
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    let calls_before = world.palms.calls().len();
    let challenge = world.verify("ada", &scanner).await;
    world
        .palms
        .inject(Operation::Query, Fault::Late(Duration::from_millis(300)));
    let (caller, path) = (
        scanner.caller.clone(),
        format!("/v1/challenges/{challenge}/complete"),
    );
    let answer = tokio::spawn(async move { caller.post(&path, capture(7, 1)).await });
    while world.palms.calls().len() == calls_before {
        tokio::task::yield_now().await;
    }
    let (store, id) = (&world.app.store, challenge.parse().unwrap());
    let stored = store.challenge(&world.tenant, &id).await.unwrap().unwrap();
    let ahead = stored.challenge.expires_at() - Duration::from_secs(1);
    let change = |at: OffsetDateTime| Change {
        at,
        ..world.change()
    };
    let sample = SampleDigest([1; 32]);
    let begun = store.begin_attempt(change(ahead), &world.tenant, &id, sample, ahead);
    let AttemptStart::Begun { lease, .. } = begun.await.unwrap() else {
        unreachable!("the lease passed on");
    };
    let verdict = AttemptVerdict {
        outcome: Outcome::Verify(VerifyOutcome::Match {
            scores: Scores::parse(&[0.91, 0.875, 0.5, 1.0]).unwrap(),
        }),
        policy_version: None,
        receipt: Some("eyJ.elsewhere".to_owned()),
        duplicate_of: None,
        vendor_request_id: None,
        vendor: VendorState::Answered,
    };
    let at = ahead + Duration::from_secs(late);
    let finished = store.finish_attempt(change(at), lease, verdict).await;
    (answer.await.unwrap(), finished)
}

#[tokio::test]
async fn a_sample_whose_lease_passed_on_is_answered_as_the_one_in_its_place() {
    let world = world().await;
    let (answer, elsewhere) = passed_on(&world, 0).await;
    elsewhere.unwrap();
    let answer = answer.expect(200);
    assert_eq!(answer["status"], "completed", "{answer}");
    assert_eq!(answer["receipt"], "eyJ.elsewhere", "{answer}");
}

/// By this replica's clock the challenge is open still.
#[tokio::test]
async fn a_sample_whose_lease_passed_on_is_told_that_the_one_in_its_place_came_too_late() {
    let world = world().await;
    let (answer, elsewhere) = passed_on(&world, 1).await;
    assert!(elsewhere.is_err(), "{elsewhere:?}");
    answer.refused(410, "challenge_expired");
}
