//! Polls that wait, and polls that come too often.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::calls::capture;
use crate::world::{Setting, World, world};

#[tokio::test]
async fn a_waiting_scanner_gets_its_challenge_when_it_is_created() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    let caller = scanner.caller.clone();
    let started = Instant::now();
    let waiting = tokio::spawn(async move { caller.get("/v1/challenges/pending?wait=25").await });
    let challenge = world.verify("ada", &scanner).await;
    let body = waiting.await.unwrap().expect(200);
    assert_eq!(body["challenges"][0]["challenge_id"], challenge.as_str());
    assert_eq!(body["next_poll_ms"], 2000);
    assert_eq!(body["server_time"], "2026-11-22T12:00:00.000Z");
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "it was not woken by the end of its time"
    );
}

#[tokio::test]
async fn an_integrator_who_waits_sees_the_end_when_it_comes() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    let challenge = world.verify("ada", &scanner).await;
    let (integrator, path) = (
        world.integrator(),
        format!("/v1/challenges/{challenge}?wait=25"),
    );
    let started = Instant::now();
    let waiting = tokio::spawn(async move {
        loop {
            let seen = integrator.get(&path).await.expect(200);
            if seen["completed_at"].is_string() {
                return seen;
            }
        }
    });
    scanner
        .complete(&challenge, capture(99, 1))
        .await
        .expect(200);
    scanner
        .complete(&challenge, capture(7, 1))
        .await
        .expect(200);
    let seen = waiting.await.unwrap();
    assert_eq!(
        (&seen["status"], &seen["attempts_used"]),
        (&json!("completed"), &json!(1))
    );
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "it was woken, not timed out"
    );
}

#[tokio::test]
async fn polls_that_do_not_wait_are_paced() {
    let world = World::start(Setting {
        rate_limits: true,
        ..Setting::default()
    })
    .await;
    let scanner = world.scanner("dev_1").await;
    scanner
        .caller
        .get("/v1/challenges/pending")
        .await
        .expect(200);
    let early = scanner.caller.get("/v1/challenges/pending?wait=0").await;
    assert_eq!(early.headers["retry-after"], "1");
    early.refused(429, "rate_limited");
    let other = world.scanner("dev_2").await;
    other.caller.get("/v1/challenges/pending").await.expect(200);
}

#[tokio::test]
async fn a_wait_is_at_most_twenty_five_seconds() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    for wait in ["26", "-1", "x", "1.5"] {
        let path = format!("/v1/challenges/pending?wait={wait}");
        let refused = scanner
            .caller
            .get(&path)
            .await
            .refused(422, "validation_failed");
        assert_eq!(refused["fields"][0]["path"], json!("wait"), "{wait}");
    }
}
