//! Users and consent beside the gates.

use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::calls::answer;
use crate::world::world;

#[tokio::test]
async fn users_are_made_read_listed_and_edited() {
    let world = world().await;
    let integrator = world.integrator();
    let made = integrator.post("/v1/users", json!({})).await.expect(201);
    let id = made["user_id"].as_str().unwrap();
    assert!(id.starts_with("usr_"), "{id}");
    assert_eq!(
        integrator.get(&format!("/v1/users/{id}")).await.expect(200),
        made
    );
    integrator
        .post("/v1/users", json!({"user_id": "ada"}))
        .await
        .expect(201);
    integrator
        .post("/v1/users", json!({"user_id": "ada"}))
        .await
        .refused(409, "conflict");
    for body in [
        json!({"user_id": "a b"}),
        json!({"email": "nowhere"}),
        json!({"mobile": "call me"}),
        json!({"display_name": ""}),
        json!({"name": "Ada"}),
    ] {
        integrator
            .post("/v1/users", body)
            .await
            .refused(422, "validation_failed");
    }
    let edit = json!({"display_name": "Ada", "mobile": "+41 22 555 01 00"});
    let edited = integrator.put("/v1/users/ada", edit).await.expect(200);
    assert_eq!(edited["display_name"], "Ada");
    let edited = integrator
        .put("/v1/users/ada", json!({"display_name": null}))
        .await
        .expect(200);
    assert_eq!(edited["display_name"], json!(null));
    let first = integrator.get("/v1/users?limit=1").await.expect(200);
    assert_eq!(first["data"].as_array().unwrap().len(), 1);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = integrator
        .get(&format!("/v1/users?limit=1&cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(second["next_cursor"], json!(null));
    assert_ne!(second["data"][0]["user_id"], first["data"][0]["user_id"]);
    integrator
        .get("/v1/users/nobody")
        .await
        .refused(404, "not_found");
    integrator
        .put("/v1/users/nobody", json!({}))
        .await
        .refused(404, "not_found");
    integrator
        .post("/v1/users/nobody/suspend", json!({}))
        .await
        .refused(404, "not_found");
    integrator
        .get("/v1/users?limit=0")
        .await
        .refused(422, "validation_failed");
}

#[tokio::test]
async fn a_repeated_request_makes_nobody_twice() {
    let world = world().await;
    let repeat = |body| {
        let request = world.integrator().request(Method::POST, "/v1/users");
        answer(request.header("idempotency-key", "k1").json(&body))
    };
    let first = repeat(json!({"display_name": "Ada"})).await;
    assert!(!first.headers.contains_key("idempotency-replayed"));
    let first = first.expect(201);
    let again = repeat(json!({"display_name": "Ada"})).await;
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(again.expect(201), first);
    repeat(json!({"display_name": "Bob"}))
        .await
        .refused(422, "idempotency_key_reused");
    let users = world.integrator().get("/v1/users").await.expect(200);
    assert_eq!(users["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_repeated_request_creates_one_challenge() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.user("ada").await;
    let body = json!({"user_id": "ada", "device_id": "dev_1", "type": "left"});
    let enroll = || {
        let request = world.integrator().request(Method::POST, "/v1/enroll");
        answer(request.header("idempotency-key", "k1").json(&body))
    };
    let first = enroll().await.expect(201);
    assert_eq!(enroll().await.expect(201), first);
    assert_eq!(scanner.pending(0).await.len(), 1);
    let stored = world
        .challenge(first["challenge_id"].as_str().unwrap())
        .await;
    assert_eq!(
        stored["expires_at"], first["expires_at"],
        "the answer was right beforehand"
    );
}

#[tokio::test]
async fn a_withdrawn_consent_bars_enrolment_and_erases_the_palm() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    let integrator = world.integrator();
    world.enrolled("ada", &scanner, 7).await;
    let open = world.verify("ada", &scanner).await;
    let path = "/v1/users/ada/consent/palm_biometric";
    let user = integrator.delete(path).await.expect(200);
    assert_eq!(user["consent_status"], "withdrawn");
    assert_eq!(user["palm_enrolled"], false);
    assert_eq!(
        world.challenge(&open).await["status_reason"],
        "consent_withdrawn"
    );
    let enroll = json!({"user_id": "ada", "device_id": "dev_1", "type": "left"});
    integrator
        .post("/v1/enroll", enroll)
        .await
        .refused(403, "consent_required");
    let given = integrator.get("/v1/users/ada/consent").await.expect(200);
    assert_eq!(given["data"][0]["granted"], true);
    assert_eq!(given["data"][0]["withdrawn_at"], "2026-11-22T12:00:00.000Z");
    integrator.delete(path).await.refused(404, "not_found");
    while world.palms.template_count() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_palm_is_erased_when_the_palm_server_answers_again() {
    use biowave_client::Operation;
    use biowave_client::simulator::Fault;

    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    world
        .palms
        .inject(Operation::Delete, Fault::Close { carried_out: false });
    let path = "/v1/users/ada/consent/palm_biometric";
    world.integrator().delete(path).await.expect(200);
    let calls = || world.palms.calls();
    while !calls().iter().any(|it| it.operation == Operation::Delete) {
        tokio::task::yield_now().await;
    }
    // Nobody knows whether it was erased. When it can be no more, it is asked for again.
    world.clock.advance(Duration::from_secs(60));
    while world.palms.template_count() > 0 {
        tokio::task::yield_now().await;
    }
    while !world
        .app
        .store
        .due_palm_erasures(10)
        .await
        .unwrap()
        .is_empty()
    {
        tokio::task::yield_now().await;
    }
}
