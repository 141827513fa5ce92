//! Polls that wait, and polls that come too often.

use std::time::Duration;

use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::calls::{Answer, capture};
use crate::world::{World, world, world_with_rate_limits};

impl World {
    /// A poll that ends before one that waits reads again by itself, after ten seconds.
    pub(crate) async fn poll_that_nothing_wakes(&self) -> JoinHandle<Answer> {
        let idle = self.scanner("dev_idle").await.caller;
        tokio::spawn(async move { idle.get("/v1/challenges/pending?wait=9").await })
    }

    /// Until a request waits for what has this id.
    async fn is_waited_for(&self, id: &str) {
        let waits = async {
            while !format!("{:?}", self.app.waiters).contains(id) {
                tokio::task::yield_now().await;
            }
        };
        let in_time = timeout(Duration::from_secs(60), waits).await;
        assert!(in_time.is_ok(), "nobody waits for {id}");
    }
}

/// What `waiting` ends with, before `other` does.
pub(crate) async fn first<T>(waiting: JoinHandle<T>, other: JoinHandle<Answer>) -> T {
    tokio::select! {
        first = waiting => first.unwrap(),
        _ = other => panic!("it read again, and was not woken"),
    }
}

#[tokio::test]
async fn a_waiting_scanner_gets_its_challenge_when_it_is_created() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    let idle = world.poll_that_nothing_wakes().await;
    let caller = scanner.caller.clone();
    let waiting = tokio::spawn(async move { caller.get("/v1/challenges/pending?wait=25").await });
    world.is_waited_for(scanner.id()).await;
    let challenge = world.verify("ada", &scanner).await;
    let body = first(waiting, idle).await.expect(200);
    assert_eq!(body["challenges"][0]["challenge_id"], challenge.as_str());
    assert_eq!(body["next_poll_ms"], 2000);
    assert_eq!(body["server_time"], "2026-11-22T12:00:00.000Z");
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
    let idle = world.poll_that_nothing_wakes().await;
    let waiting = tokio::spawn(async move {
        loop {
            let seen = integrator.get(&path).await.expect(200);
            if seen["completed_at"].is_string() {
                return seen;
            }
        }
    });
    for palm in [99, 7] {
        world.is_waited_for(&challenge).await;
        let capture = capture(palm, 1);
        scanner.complete(&challenge, capture).await.expect(200);
    }
    let seen = first(waiting, idle).await;
    assert_eq!(
        (&seen["status"], &seen["attempts_used"]),
        (&json!("completed"), &json!(1))
    );
}

#[tokio::test]
async fn polls_that_do_not_wait_are_paced() {
    let world = world_with_rate_limits().await;
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
async fn polls_that_wait_and_find_work_are_paced() {
    let world = world_with_rate_limits().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    world.verify("ada", &scanner).await;
    let mut polls = JoinSet::new();
    for _ in 0..8 {
        let caller = scanner.caller.clone();
        polls.spawn(async move { caller.get("/v1/challenges/pending?wait=1").await });
    }
    let (served, refused): (Vec<_>, Vec<_>) = polls
        .join_all()
        .await
        .into_iter()
        .partition(|polled| polled.status == 200);
    assert!(!served.is_empty() && !refused.is_empty());
    for refused in refused {
        refused.refused(429, "rate_limited");
    }
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
