//! What happens to a challenge beside samples.

use std::time::Duration;

use biowave_client::Operation;
use biowave_client::simulator::Fault;
use identity_challenge::{DeviceBinding, DeviceClass};
use serde_json::json;

use crate::calls::{capture, verification};
use crate::world::world;

#[tokio::test]
async fn a_challenge_expires_by_itself_and_takes_no_sample_then() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    let mut body = verification("ada", &scanner);
    body["ttl_seconds"] = json!(15);
    let created = world
        .integrator()
        .post("/v1/verify", body)
        .await
        .expect(201);
    assert_eq!(created["expires_at"], "2026-11-22T12:00:15.000Z");
    let challenge = created["challenge_id"].as_str().unwrap();
    let path = format!("/v1/challenges/{challenge}?wait=10");
    let integrator = world.integrator();
    let waiting = tokio::spawn(async move { integrator.get(&path).await.expect(200) });
    world.clock.advance(Duration::from_secs(15));
    assert_eq!(
        waiting.await.unwrap()["status"],
        "expired",
        "nobody has to ask"
    );
    assert!(scanner.pending(0).await.is_empty());
    scanner
        .complete(challenge, capture(7, 1))
        .await
        .refused(410, "challenge_expired");
    let path = format!("/v1/challenges/{challenge}/cancel");
    world
        .integrator()
        .post(&path, json!({}))
        .await
        .refused(409, "challenge_terminal");
    let swept = async || {
        let list = world
            .integrator()
            .get("/v1/challenges?status=expired")
            .await
            .expect(200);
        list["data"].get(0).cloned()
    };
    let expired = loop {
        if let Some(expired) = swept().await {
            break expired;
        }
    };
    assert_eq!(expired["challenge_id"], challenge);
    assert_eq!(expired["status_reason"], "expired");
}

#[tokio::test]
async fn an_integrator_cancels_and_the_device_is_told() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    let challenge = world.verify("ada", &scanner).await;
    let path = format!("/v1/challenges/{challenge}/cancel");
    let canceled = world.integrator().post(&path, json!({})).await.expect(200);
    assert_eq!(canceled, json!({"status": "canceled"}));
    world
        .integrator()
        .post(&path, json!({}))
        .await
        .refused(409, "challenge_terminal");
    assert!(scanner.pending(0).await.is_empty());
    scanner
        .complete(&challenge, capture(7, 1))
        .await
        .refused(409, "challenge_terminal");
    assert_eq!(
        world.challenge(&challenge).await["status_reason"],
        "canceled_by_integrator"
    );
}

#[tokio::test]
async fn a_challenge_is_canceled_while_its_sample_is_decided_on() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    let challenge = world.verify("ada", &scanner).await;
    let failed = scanner.complete(&challenge, capture(99, 1)).await;
    assert_eq!(failed.expect(200)["challenge_status"], "in_progress");
    let late = Fault::Late(Duration::from_millis(500));
    world.palms.inject(Operation::Query, late);
    let calls_before = world.palms.calls().len();
    let (caller, path) = (
        scanner.caller.clone(),
        format!("/v1/challenges/{challenge}/complete"),
    );
    let sample = tokio::spawn(async move { caller.post(&path, capture(7, 1)).await });
    while world.palms.calls().len() == calls_before {
        tokio::task::yield_now().await;
    }
    let path = format!("/v1/challenges/{challenge}/cancel");
    let canceled = world.integrator().post(&path, json!({})).await;
    assert_eq!(canceled.expect(200), json!({"status": "canceled"}));
    let sample = sample.await.unwrap();
    sample.refused(409, "challenge_terminal");
    let seen = world.challenge(&challenge).await;
    assert_eq!(
        (
            &seen["status"],
            &seen["status_reason"],
            &seen["attempts_used"]
        ),
        (
            &json!("canceled"),
            &json!("canceled_by_integrator"),
            &json!(1)
        )
    );
    assert!(seen.get("receipt").is_none() && seen.get("scores").is_none());
}

#[tokio::test]
async fn an_integrator_finds_a_challenge_by_its_own_reference() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    let mut verify = verification("ada", &scanner);
    verify["client_reference"] = json!("order-7");
    let created = world.integrator().post("/v1/verify", verify).await;
    let created = created.expect(201);
    world.user("bob").await;
    let enroll = json!({
        "user_id": "bob", "device_id": scanner.id(), "type": "left", "client_reference": "order-8",
    });
    world
        .integrator()
        .post("/v1/enroll", enroll)
        .await
        .expect(201);
    let listed = async |reference: &str| {
        let path = format!("/v1/challenges?client_reference={reference}");
        let list = world.integrator().get(&path).await.expect(200);
        list["data"].as_array().unwrap().clone()
    };
    let found = listed("order-7").await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["challenge_id"], created["challenge_id"]);
    assert_eq!(found[0]["client_reference"], "order-7");
    assert_eq!(listed("order-8").await[0]["type"], "enroll");
    assert!(listed("order").await.is_empty(), "whole references");
    for pending in scanner.pending(0).await {
        let shown = pending.get("client_reference");
        assert!(shown.is_none(), "it is none of the device's business");
    }
}

#[tokio::test]
async fn a_device_claims_and_denies() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    let challenge = world.verify("ada", &scanner).await;
    let claim = format!("/v1/challenges/{challenge}/claim");
    let claimed = scanner.caller.post(&claim, json!({})).await.expect(200);
    assert_eq!(claimed["status"], "in_progress");
    scanner.caller.post(&claim, json!({})).await.expect(200);
    assert_eq!(
        scanner.pending(0).await.len(),
        1,
        "a restarted scanner finds its work again"
    );
    let deny = format!("/v1/challenges/{challenge}/deny");
    scanner
        .caller
        .post(&deny, json!({}))
        .await
        .refused(422, "validation_failed");
    let denied = scanner
        .caller
        .post(&deny, json!({"reason": "user walked away"}))
        .await;
    assert_eq!(denied.expect(200)["status"], "denied");
    scanner
        .caller
        .post(&claim, json!({}))
        .await
        .refused(409, "challenge_terminal");
    let seen = world.challenge(&challenge).await;
    assert_eq!(
        (&seen["status"], &seen["status_reason"]),
        (&json!("denied"), &json!("denied_at_device"))
    );
}

#[tokio::test]
async fn another_devices_challenge_is_not_there() {
    let world = world().await;
    let (scanner, other) = (world.scanner("dev_1").await, world.scanner("dev_2").await);
    world.enrolled("ada", &scanner, 7).await;
    let challenge = world.verify("ada", &scanner).await;
    assert!(other.pending(0).await.is_empty());
    other
        .complete(&challenge, capture(7, 1))
        .await
        .refused(404, "not_found");
    for (step, body) in [("claim", json!({})), ("deny", json!({"reason": "no"}))] {
        let path = format!("/v1/challenges/{challenge}/{step}");
        other
            .caller
            .post(&path, body)
            .await
            .refused(404, "not_found");
    }
    other
        .complete("ch_unknown", capture(7, 1))
        .await
        .refused(404, "not_found");
    assert_eq!(world.challenge(&challenge).await["status"], "pending");
}

#[tokio::test]
async fn only_devices_that_take_challenges_are_served() {
    let world = world().await;
    world.user("ada").await;
    let binding = DeviceBinding::new(DeviceClass::Gate, Some("access"), Some("enter")).unwrap();
    let gate = world.device("dev_gate", binding).await;
    let pending = gate.caller.get("/v1/challenges/pending").await;
    pending.refused(403, "device_class_not_allowed");
    let enroll = json!({"user_id": "ada", "device_id": "dev_gate", "type": "left"});
    let refused = world.integrator().post("/v1/enroll", enroll).await;
    refused.refused(422, "device_class_not_allowed");
}

#[tokio::test]
async fn the_device_side_needs_a_certificate() {
    let world = world().await;
    for caller in [world.nobody(), world.integrator()] {
        let refused = caller.get("/v1/challenges/pending").await;
        refused.refused(401, "client_cert_required");
    }
    let id = "ch_01jd8z6m3w0000000000000000";
    for step in ["claim", "deny", "complete"] {
        let path = format!("/v1/challenges/{id}/{step}");
        world
            .nobody()
            .post(&path, json!({}))
            .await
            .refused(401, "client_cert_required");
    }
}
