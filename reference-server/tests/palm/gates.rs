//! Who may be verified and enrolled, in the order of the contract.

use identity_challenge::{DeviceBinding, DeviceClass, UserThrottle};
use identity_pki::DeviceIdentity;
use serde_json::{Value, json};

use crate::calls::{capture, verification};
use crate::world::world;

#[tokio::test]
async fn an_enrolment_passes_its_gates_in_the_contracts_order() {
    let world = world().await;
    world
        .configure(|config| config.kyc_required_for_enrollment = true)
        .await;
    world
        .configure(|config| config.max_open_challenges_per_device = 1)
        .await;
    let integrator = world.integrator();
    let enroll = |device: &str| {
        let body = json!({"user_id": "ada", "device_id": device, "type": "left"});
        integrator.post("/v1/enroll", body)
    };
    enroll("dev_none").await.refused(404, "user_not_found");
    integrator
        .post("/v1/users", json!({"user_id": "ada"}))
        .await
        .expect(201);
    integrator
        .post("/v1/users/ada/suspend", json!({}))
        .await
        .expect(200);
    enroll("dev_none").await.refused(423, "user_suspended");
    integrator
        .post("/v1/users/ada/reactivate", json!({}))
        .await
        .expect(200);
    enroll("dev_none").await.refused(404, "device_not_found");
    let gone = world.scanner("dev_gone").await;
    world
        .app
        .store
        .revoke_device(world.change(), &gone.identity)
        .await
        .unwrap();
    enroll("dev_gone").await.refused(409, "device_not_paired");
    let binding = DeviceBinding::new(DeviceClass::Kiosk, Some("wallet"), None).unwrap();
    world.device("dev_kiosk", binding).await;
    enroll("dev_kiosk")
        .await
        .refused(422, "device_class_not_allowed");
    let scanner = world.scanner("dev_1").await;
    enroll("dev_1").await.refused(403, "kyc_required");
    let kyc = json!({"status": "verified", "provider": "Example AG", "level": "substantial"});
    let user = integrator.put("/v1/users/ada/kyc", kyc).await.expect(200);
    assert_eq!(user["kyc_status"], "verified");
    enroll("dev_1").await.refused(403, "consent_required");
    world.consent("ada", false).await.expect(201);
    enroll("dev_1").await.refused(403, "consent_required");
    world.consent("ada", true).await.expect(201);
    let challenge = enroll("dev_1").await.expect(201)["challenge_id"].clone();
    enroll("dev_1").await.refused(409, "device_busy");
    let outcome = scanner
        .complete(challenge.as_str().unwrap(), capture(7, 0))
        .await
        .expect(200);
    assert_eq!(outcome["status"], "enrolled");
    enroll("dev_1").await.refused(409, "already_enrolled");
}

#[tokio::test]
async fn a_verification_needs_a_user_who_may_be_verified() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    let integrator = world.integrator();
    let verify = || integrator.post("/v1/verify", verification("ada", &scanner));
    let nobody = integrator
        .post("/v1/verify", verification("nobody", &scanner))
        .await;
    nobody.refused(404, "user_not_found");
    let policy = json!({"allowed_types": ["right"], "verification_enabled": true});
    let kept = integrator
        .put("/v1/users/ada/palm-policy", policy.clone())
        .await
        .expect(200);
    assert_eq!(kept, policy);
    verify().await.refused(403, "palm_type_restricted");
    let policy = json!({"allowed_types": ["left"], "verification_enabled": false});
    integrator
        .put("/v1/users/ada/palm-policy", policy)
        .await
        .expect(200);
    verify().await.refused(403, "palm_type_restricted");
    let policy = json!({"allowed_types": [], "verification_enabled": true});
    let refused = integrator.put("/v1/users/ada/palm-policy", policy).await;
    refused.refused(422, "validation_failed");
    let policy = json!({"allowed_types": ["left"], "verification_enabled": true});
    integrator
        .put("/v1/users/ada/palm-policy", policy)
        .await
        .expect(200);
    let open = verify().await.expect(201)["challenge_id"].clone();
    let user = integrator
        .post("/v1/users/ada/suspend", json!({}))
        .await
        .expect(200);
    assert_eq!(user["status"], "suspended");
    let canceled = world.challenge(open.as_str().unwrap()).await;
    assert_eq!(canceled["status_reason"], "user_barred");
    verify().await.refused(423, "user_suspended");
}

#[tokio::test]
async fn a_user_who_failed_fifty_times_is_locked_until_an_operator_clears_it() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    let mut challenge = String::new();
    for tries in 0..50 {
        if tries % 3 == 0 {
            challenge = world.verify("ada", &scanner).await;
        }
        let outcome = scanner
            .complete(&challenge, capture(99, tries))
            .await
            .expect(200);
        assert_ne!(outcome["reason_code"], "throttled", "{tries}");
        world.clock.advance(UserThrottle::DELAY.unsigned_abs());
    }
    // The first token's time is over by now.
    let integrator = world.integrator();
    let verify = || integrator.post("/v1/verify", verification("ada", &scanner));
    let user = integrator.get("/v1/users/ada").await.expect(200);
    assert_eq!(user["status"], "locked");
    verify().await.refused(423, "user_locked");
    let user = integrator
        .post("/v1/users/ada/clear-lock", json!({}))
        .await
        .expect(200);
    assert_eq!(user["status"], "active");
    verify().await.expect(201);
}

#[tokio::test]
async fn what_an_integrator_sends_has_bounds() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    for (member, value) in [
        ("ttl_seconds", json!(14)),
        ("ttl_seconds", json!(601)),
        ("max_attempts", json!(0)),
        ("max_attempts", json!(11)),
        ("context", json!("")),
        ("context", json!("c".repeat(129))),
        ("metadata", json!({"k": "v".repeat(4096)})),
        ("metadata", json!("text")),
        ("display", json!([1])),
        ("user_id", json!("a b")),
        ("device_id", json!("DEV")),
        ("more", json!(1)),
    ] {
        let mut body = verification("ada", &scanner);
        body[member] = value;
        let refused = world.integrator().post("/v1/verify", body).await;
        let refused: Value = refused.refused(422, "validation_failed");
        assert_eq!(refused["fields"][0]["path"], member);
    }
    let identity: &DeviceIdentity = &scanner.identity;
    let work = world.app.store.device_work(identity, world.clock_now());
    let open = work.await.unwrap().unwrap().open_challenges;
    assert!(open.is_empty(), "nothing was created");
}
