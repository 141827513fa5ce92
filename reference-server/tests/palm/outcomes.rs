//! Every row of the contract's table of outcomes (§8), and the palm server's faults.

use std::time::Duration;

use biowave_client::simulator::Fault;
use biowave_client::{Operation, PalmTypes};
use identity_store::{AuditRow, Chain, Severity};
use serde_json::{Value, json};

use crate::calls::capture;
use crate::world::{Setting, World, world};

/// The palm that the enrolled user has.
const PALM: u64 = 7;

/// The rows of a chain, all of them sealed now.
async fn audit(world: &World, chain: &Chain) -> Vec<AuditRow> {
    world.app.store.seal_audit(10_000).await.unwrap();
    let sealed = world
        .app
        .store
        .sealed_audit(chain, 0, 10_000)
        .await
        .unwrap();
    sealed.into_iter().map(|sealed| sealed.row).collect()
}

pub(crate) async fn tenant_audit(world: &World, action: &str) -> Vec<AuditRow> {
    let rows = audit(world, &Chain::Tenant(world.tenant.clone())).await;
    rows.into_iter()
        .filter(|row| row.action == action)
        .collect()
}

async fn alerts(world: &World) -> Vec<Value> {
    let rows = audit(world, &Chain::Platform).await;
    let alerts = rows.into_iter().filter(|row| row.action == "ops_alert");
    alerts.map(|row| row.metadata["kind"].clone()).collect()
}

#[tokio::test]
async fn failed_tries_are_told_apart_and_the_last_one_ends_the_challenge() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, PALM).await;
    world.enrolled("bob", &scanner, 8).await;
    let challenge = world.verify("ada", &scanner).await;

    let stranger = scanner
        .complete(&challenge, capture(99, 0))
        .await
        .expect(200);
    assert_eq!(
        stranger,
        json!({
            "status": "failed", "challenge_status": "in_progress",
            "reason": "Palm not recognized", "reason_code": "not_found", "attempts_remaining": 2,
        })
    );
    let other = scanner
        .complete(&challenge, capture(8, 1))
        .await
        .expect(200);
    assert_eq!(
        other,
        json!({
            "status": "failed", "challenge_status": "in_progress",
            "reason": "Identity mismatch", "reason_code": "identity_mismatch",
            "attempts_remaining": 1,
        })
    );
    let again = scanner
        .complete(&challenge, capture(8, 1))
        .await
        .expect(200);
    assert_eq!(again["reason_code"], "capture_replayed");
    assert_eq!(again["attempts_remaining"], 1, "a replay consumes no try");
    world
        .palms
        .inject(Operation::Query, Fault::Scores(vec![0.7; 4]));
    let last = scanner
        .complete(&challenge, capture(PALM, 1))
        .await
        .expect(200);
    assert_eq!(
        last,
        json!({
            "status": "failed", "challenge_status": "failed",
            "reason": "Max attempts exceeded", "reason_code": "max_attempts",
            "attempts_remaining": 0,
        })
    );
    let seen = world.challenge(&challenge).await;
    assert_eq!(
        (&seen["status"], &seen["status_reason"]),
        (&json!("failed"), &json!("max_attempts"))
    );
    assert!(
        !seen.to_string().contains("bob"),
        "nobody learns whose palm it was"
    );
    scanner
        .complete(&challenge, capture(PALM, 2))
        .await
        .refused(409, "challenge_terminal");

    let failures = tenant_audit(&world, "verification_failed").await;
    let reasons: Vec<&str> = failures
        .iter()
        .map(|row| row.metadata["reason"].as_str().unwrap())
        .collect();
    let expected = [
        "not_found",
        "identity_mismatch",
        "capture_replayed",
        "low_confidence",
    ];
    assert_eq!(reasons, expected);
    assert_eq!(failures[1].severity, Severity::High);
}

#[tokio::test]
async fn a_palm_that_is_not_clear_enough_may_be_shown_again() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, PALM).await;
    let challenge = world.verify("ada", &scanner).await;
    world.palms.inject(
        Operation::Query,
        Fault::Scores(vec![0.95, 0.95, 0.95, 0.79]),
    );
    let unclear = scanner
        .complete(&challenge, capture(PALM, 1))
        .await
        .expect(200);
    assert_eq!(
        unclear,
        json!({
            "status": "failed", "challenge_status": "in_progress",
            "reason": "Low confidence", "reason_code": "low_confidence", "attempts_remaining": 2,
        })
    );
    let clear = scanner
        .complete(&challenge, capture(PALM, 2))
        .await
        .expect(200);
    assert_eq!(clear["status"], "completed");
}

#[tokio::test]
async fn the_tenants_own_thresholds_decide_and_are_in_the_audit() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, PALM).await;
    world
        .configure(|config| {
            let stricter = json!({"mode": "all", "threshold_offset": [0.1, 0.1, 0.1, 0.1]});
            config.palm_policy = serde_json::from_value(stricter).unwrap();
        })
        .await;
    let challenge = world.verify("ada", &scanner).await;
    world
        .palms
        .inject(Operation::Query, Fault::Scores(vec![0.85; 4]));
    let unclear = scanner
        .complete(&challenge, capture(PALM, 1))
        .await
        .expect(200);
    assert_eq!(
        unclear["reason_code"], "low_confidence",
        "0.85 passes 0.8 and not 0.9"
    );
    let clear = scanner
        .complete(&challenge, capture(PALM, 2))
        .await
        .expect(200);
    assert_eq!(clear["status"], "completed");
    let complete = tenant_audit(&world, "verification_complete").await;
    let version = complete[0].metadata["policy_version"].as_str().unwrap();
    assert!(version.contains("offset=0.1,0.1,0.1,0.1"), "{version}");
}

#[tokio::test]
async fn an_enrolment_that_the_palm_server_refuses_ends_with_its_reason() {
    for (code, reason, reason_code, status_reason) in [
        (
            30007,
            "Biometrics already registered",
            "duplicate_biometrics",
            "duplicate_biometrics",
        ),
        (
            30005,
            "Already enrolled",
            "already_enrolled",
            "already_enrolled",
        ),
        (
            30002,
            "Service unavailable",
            "license_capacity",
            "license_capacity",
        ),
        (
            30008,
            "Palm verification disabled for this user",
            "query_type_restricted",
            "query_type_restricted",
        ),
    ] {
        let world = world().await;
        let scanner = world.scanner("dev_1").await;
        world.user("ada").await;
        let challenge = world.enroll("ada", &scanner, "left").await;
        world.palms.inject(Operation::Add, Fault::Code(code));
        let refused = scanner
            .complete(&challenge, capture(PALM, 0))
            .await
            .expect(200);
        assert_eq!(
            refused,
            json!({
                "status": "failed", "challenge_status": "failed",
                "reason": reason, "reason_code": reason_code,
            }),
            "{code}"
        );
        assert_eq!(
            world.challenge(&challenge).await["status_reason"],
            status_reason
        );
        let user = world.integrator().get("/v1/users/ada").await.expect(200);
        assert_eq!(user["palm_enrolled"], false);
        let expected = if code == 30002 {
            vec![json!("license_capacity")]
        } else {
            vec![]
        };
        assert_eq!(alerts(&world).await, expected, "{code}");
    }
}

#[tokio::test]
async fn one_palm_belongs_to_one_user() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, PALM).await;
    world.user("bob").await;
    let challenge = world.enroll("bob", &scanner, "left").await;
    let refused = scanner
        .complete(&challenge, capture(PALM, 1))
        .await
        .expect(200);
    assert_eq!(refused["reason_code"], "duplicate_biometrics");
    let failed = tenant_audit(&world, "palm_enrollment_failed").await;
    assert_eq!(failed[0].severity, Severity::High);
}

#[tokio::test]
async fn a_palm_type_that_the_palm_server_locked_ends_the_verification() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, PALM).await;
    world.palms.restrict("acme:ada", PalmTypes::Right);
    let challenge = world.verify("ada", &scanner).await;
    let locked = scanner
        .complete(&challenge, capture(PALM, 1))
        .await
        .expect(200);
    assert_eq!(
        locked,
        json!({
            "status": "failed", "challenge_status": "failed",
            "reason": "Palm verification disabled for this user",
            "reason_code": "query_type_restricted",
        })
    );
}

#[tokio::test]
async fn a_palm_server_that_fails_costs_no_try_and_the_sample_may_come_again() {
    let garbage = |body: &str| Fault::Answer {
        status: 200,
        body: body.to_owned(),
    };
    let world = World::start(Setting {
        palm_timeout_ms: Some(200),
        ..Setting::default()
    })
    .await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, PALM).await;
    let challenge = world.verify("ada", &scanner).await;
    for fault in [
        Fault::Code(50000),
        Fault::Code(31337),
        Fault::Code(30005),
        garbage("<html>"),
        garbage("{\"code\": 0, \"data\": {\"results\": 7}}"),
        Fault::Answer {
            status: 502,
            body: String::new(),
        },
        Fault::Scores(vec![0.9; 3]),
        Fault::Thresholds(vec![0.8; 5]),
        Fault::Scores(vec![0.9; 5]),
        Fault::Scores(vec![]),
        // Any palm would pass.
        Fault::Thresholds(vec![0.0; 4]),
        Fault::Thresholds(vec![0.8, 0.8, 0.8, -1.0]),
        garbage(r#"{"code": 0, "data": {"results": [], "thresholds": [NaN]}}"#),
        garbage(r#"{"code": 0, "data": {"results": [], "thresholds": [1e999]}}"#),
        garbage("{\"code\": 0"),
        garbage(""),
        garbage(&"x".repeat(2 * 1024 * 1024)),
        Fault::Silence { carried_out: true },
        Fault::Close { carried_out: false },
        Fault::CutAnswer,
    ] {
        world.palms.inject(Operation::Query, fault.clone());
        let unavailable = scanner
            .complete(&challenge, capture(PALM, 1))
            .await
            .expect(200);
        assert_eq!(
            unavailable,
            json!({
                "status": "failed", "challenge_status": "in_progress",
                "reason": "Service unavailable", "reason_code": "service_unavailable",
                "retry_after_ms": 2000,
            }),
            "{fault:?}"
        );
    }
    assert_eq!(
        alerts(&world).await,
        [json!("vendor_unauthorized")],
        "50000 alone alerts"
    );
    let seen = world.challenge(&challenge).await;
    assert_eq!(
        (&seen["status"], &seen["attempts_used"]),
        (&json!("in_progress"), &json!(0))
    );
    let same = scanner
        .complete(&challenge, capture(PALM, 1))
        .await
        .expect(200);
    assert_eq!(
        same["status"], "completed",
        "the sample was never decided on"
    );
}

#[tokio::test]
async fn without_a_palm_server_samples_are_answered_service_unavailable() {
    for setting in [
        Setting {
            no_palm_server: true,
            ..Setting::default()
        },
        // Nobody listens there.
        Setting {
            palm_url: Some("http://127.0.0.1:1".to_owned()),
            ..Setting::default()
        },
    ] {
        let world = World::start(setting).await;
        let scanner = world.scanner("dev_1").await;
        world.user("ada").await;
        let challenge = world.enroll("ada", &scanner, "left").await;
        let outcome = scanner
            .complete(&challenge, capture(PALM, 0))
            .await
            .expect(200);
        assert_eq!(outcome["reason_code"], "service_unavailable");
        assert_eq!(world.challenge(&challenge).await["status"], "in_progress");
    }
}

#[tokio::test]
async fn an_enrolment_whose_answer_was_lost_is_found_again() {
    let world = World::start(Setting {
        palm_timeout_ms: Some(200),
        ..Setting::default()
    })
    .await;
    let scanner = world.scanner("dev_1").await;
    world.user("ada").await;
    let challenge = world.enroll("ada", &scanner, "left").await;
    world
        .palms
        .inject(Operation::Add, Fault::Silence { carried_out: true });
    let lost = scanner
        .complete(&challenge, capture(PALM, 0))
        .await
        .expect(200);
    assert_eq!(lost["reason_code"], "service_unavailable");
    assert_eq!(world.palms.template_count(), 1);
    let found = scanner
        .complete(&challenge, capture(PALM, 1))
        .await
        .expect(200);
    assert_eq!(found["status"], "enrolled", "{found}");
    assert_eq!(world.palms.template_count(), 1);
    let operations: Vec<Operation> = world
        .palms
        .calls()
        .iter()
        .map(|call| call.operation)
        .collect();
    assert_eq!(
        operations,
        [Operation::Query, Operation::Add, Operation::Query],
        "asked before it adds again"
    );
}

#[tokio::test]
async fn after_five_failed_tries_the_user_waits_at_every_device() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    let other_scanner = world.scanner("dev_2").await;
    world.enrolled("ada", &scanner, PALM).await;
    let waiting = world.verify("ada", &other_scanner).await;
    for (tries, noise) in [(3, 0), (2, 10)] {
        let challenge = world.verify("ada", &scanner).await;
        for n in 0..tries {
            scanner
                .complete(&challenge, capture(99, noise + n))
                .await
                .expect(200);
        }
    }
    let throttled = other_scanner
        .complete(&waiting, capture(PALM, 1))
        .await
        .expect(200);
    assert_eq!(
        throttled,
        json!({
            "status": "failed", "challenge_status": "in_progress",
            "reason_code": "throttled", "retry_after_ms": 30000,
        })
    );
    let body = crate::calls::verification("ada", &scanner);
    let refused = world.integrator().post("/v1/verify", body.clone()).await;
    assert_eq!(refused.headers["retry-after"], "30");
    refused.refused(429, "user_throttled");
    world.clock.advance(Duration::from_secs(30));
    let matched = other_scanner
        .complete(&waiting, capture(PALM, 1))
        .await
        .expect(200);
    assert_eq!(
        matched["status"], "completed",
        "no try was consumed, and the sample was not kept"
    );
    world
        .integrator()
        .post("/v1/verify", body)
        .await
        .expect(201);
}
