//! Samples that race, and those who leave before they are decided on.

use std::time::Duration;

use biowave_client::Operation;
use biowave_client::simulator::Fault;
use http::Method;
use serde_json::Value;

use crate::calls::capture;
use crate::world::world;

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
    world
        .palms
        .inject(Operation::Query, Fault::Late(Duration::from_millis(300)));
    let path = format!("/v1/challenges/{challenge}/complete");
    let request = scanner
        .caller
        .request(Method::POST, &path)
        .json(&capture(7, 1));
    let sending = tokio::spawn(request.send());
    while world.palms.calls().len() < 2 {
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
