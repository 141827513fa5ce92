//! Palms that are to be enrolled and are another user's already.

use biowave_client::simulator::{Fault, palm_sample};
use biowave_client::{BioWaveClient, Operation, PalmType, Registration};
use identity_store::{AuditRow, PalmDuplicateAction, Severity};
use serde_json::{Value, json};

use crate::calls::capture;
use crate::outcomes::tenant_audit;
use crate::world::{Device, Setting, World, world};

/// The palm of the first user.
const PALM: u64 = 7;

/// A tenant that treats duplicates so, with one user enrolled, another one known, and a palm server that
/// has nothing against duplicates itself.
async fn with(action: PalmDuplicateAction) -> (World, Device) {
    let world = world().await;
    world.palms.take_duplicates();
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, PALM).await;
    world.user("bob").await;
    world
        .configure(|config| config.palm_duplicate_action = action)
        .await;
    (world, scanner)
}

impl World {
    /// What comes of enrolling that palm, and which calls it led to.
    async fn tries_to_enroll(
        &self,
        scanner: &Device,
        (user, palm_type): (&str, &str),
        palm: u64,
    ) -> (Value, Vec<Operation>) {
        let calls = self.palms.calls().len();
        let challenge = self.enroll(user, scanner, palm_type).await;
        // No capture is like an earlier one.
        let noise = u64::try_from(calls).unwrap() + 1;
        let shown = scanner.complete(&challenge, capture(palm, noise)).await;
        let calls = self.palms.calls().split_off(calls);
        let operations = calls.iter().map(|call| call.operation).collect();
        (shown.expect(200), operations)
    }

    async fn detected(&self) -> Vec<AuditRow> {
        tenant_audit(self, "palm_duplicate_detected").await
    }

    async fn internal_id(&self, user_id: &str) -> String {
        let (store, user_id) = (&self.app.store, user_id.parse().unwrap());
        let user = store.user(&self.tenant, &user_id).await.unwrap();
        user.unwrap().internal_id.to_string()
    }
}

#[tokio::test]
async fn another_users_palm_is_not_enrolled() {
    let (world, scanner) = with(PalmDuplicateAction::Reject).await;
    let (outcome, operations) = world.tries_to_enroll(&scanner, ("bob", "left"), PALM).await;
    assert_eq!(
        outcome,
        json!({
            "status": "failed", "challenge_status": "failed",
            "reason": "Biometrics already registered", "reason_code": "duplicate_biometrics",
        }),
        "it names nobody"
    );
    assert_eq!(operations, [Operation::Query], "nothing was added");
    assert_eq!(world.palms.template_count(), 1);
    let detected = world.detected().await;
    assert_eq!(detected.len(), 1);
    assert_eq!(detected[0].severity, Severity::High);
    let metadata = &detected[0].metadata;
    assert_eq!(metadata["matched_user"], world.internal_id("ada").await);
    assert_eq!(metadata["user_id"], world.internal_id("bob").await);
    assert_eq!(metadata["enrolled"], false);
    assert!(metadata["policy_version"].is_string(), "{metadata}");
    let failed = tenant_audit(&world, "palm_enrollment_failed").await;
    assert_eq!(failed[0].metadata["reason"], "duplicate_biometrics");
}

#[tokio::test]
async fn another_users_palm_is_enrolled_and_recorded_where_duplicates_are_flagged() {
    let (world, scanner) = with(PalmDuplicateAction::Flag).await;
    let (outcome, operations) = world.tries_to_enroll(&scanner, ("bob", "left"), PALM).await;
    assert_eq!(outcome["status"], "enrolled");
    assert_eq!(operations, [Operation::Query, Operation::Add]);
    assert_eq!(world.palms.template_count(), 2);
    let detected = world.detected().await;
    let metadata = &detected[0].metadata;
    assert_eq!(metadata["matched_user"], world.internal_id("ada").await);
    assert_eq!(metadata["enrolled"], true);
    let outbox = world.app.store.outbox(0, 100).await.unwrap();
    let told: Vec<_> = outbox
        .iter()
        .filter(|event| event.event_type == "enrollment.duplicate_detected")
        .collect();
    assert_eq!(told.len(), 1);
    let told = format!("{:?}", told[0]);
    assert!(told.contains("bob"), "{told}");
    assert!(!told.contains("ada"), "the integrator is not told whose");
}

#[tokio::test]
async fn nobody_looks_for_duplicates_where_they_are_allowed() {
    let (world, scanner) = with(PalmDuplicateAction::Allow).await;
    let (outcome, operations) = world.tries_to_enroll(&scanner, ("bob", "left"), PALM).await;
    assert_eq!(outcome["status"], "enrolled");
    assert_eq!(operations, [Operation::Add]);
    assert!(world.detected().await.is_empty());
}

#[tokio::test]
async fn a_persons_other_hand_and_another_tenants_user_are_no_duplicates() {
    let (world, scanner) = with(PalmDuplicateAction::Reject).await;
    // The palm server finds the user's own other hand.
    let own = Fault::User("acme:ada".to_owned());
    world.palms.inject(Operation::Query, own);
    let (outcome, _) = world.tries_to_enroll(&scanner, ("ada", "right"), 8).await;
    assert_eq!(outcome["status"], "enrolled");

    let palm_server = BioWaveClient::builder(world.palms.url()).build().unwrap();
    let theirs = Registration {
        user_id: "other:zoe",
        palm_type: PalmType::Left,
        query_type: None,
    };
    let id = uuid::Uuid::from_u128(1);
    let added = palm_server.add(id, &palm_sample(9, 0), &theirs).await;
    added.unwrap();
    let (outcome, _) = world.tries_to_enroll(&scanner, ("bob", "left"), 9).await;
    assert_eq!(outcome["status"], "enrolled");
    assert!(world.detected().await.is_empty());
}

#[tokio::test]
async fn what_a_palm_server_has_against_a_duplicate_itself_stands() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, PALM).await;
    world.user("bob").await;
    for action in [PalmDuplicateAction::Flag, PalmDuplicateAction::Allow] {
        world
            .configure(|config| config.palm_duplicate_action = action)
            .await;
        let (outcome, operations) = world.tries_to_enroll(&scanner, ("bob", "left"), PALM).await;
        assert_eq!(outcome["reason_code"], "duplicate_biometrics");
        assert_eq!(operations.last(), Some(&Operation::Add));
    }
    let enrolled = |row: &AuditRow| row.metadata["enrolled"] == true;
    let detected = world.detected().await;
    assert_eq!(detected.len(), 1);
    assert!(!detected.iter().any(enrolled));
}

#[tokio::test]
async fn a_palm_that_cannot_be_looked_for_is_not_enrolled_yet() {
    let world = World::start(Setting {
        palm_timeout_ms: Some(200),
        ..Setting::default()
    })
    .await;
    let scanner = world.scanner("dev_1").await;
    world.user("ada").await;
    let challenge = world.enroll("ada", &scanner, "left").await;
    let garbage = "<html>".to_owned();
    let none = r#"{"code": 0, "data": {"results": [{"user_id": "x:y", "id": 1,
        "scores": [1, 1, 1, 1, 1]}], "thresholds": [0.8, 0.8, 0.8, 0.8]}}"#;
    for fault in [
        Fault::Code(50000),
        Fault::Code(31337),
        Fault::Answer {
            status: 200,
            body: garbage,
        },
        Fault::Answer {
            status: 200,
            body: none.to_owned(),
        },
        Fault::Silence { carried_out: true },
        Fault::Close { carried_out: true },
        Fault::CutAnswer,
    ] {
        world.palms.inject(Operation::Query, fault.clone());
        let shown = scanner.complete(&challenge, capture(PALM, 0)).await;
        let outcome = shown.expect(200);
        assert_eq!(outcome["reason_code"], "service_unavailable", "{fault:?}");
        assert_eq!(world.palms.template_count(), 0, "{fault:?}");
    }
    let shown = scanner.complete(&challenge, capture(PALM, 0)).await;
    assert_eq!(shown.expect(200)["status"], "enrolled", "the same sample");
}

#[tokio::test]
async fn a_lost_addition_of_a_duplicate_is_found_again_and_recorded() {
    let world = World::start(Setting {
        palm_timeout_ms: Some(200),
        ..Setting::default()
    })
    .await;
    world.palms.take_duplicates();
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, PALM).await;
    world.user("bob").await;
    world
        .configure(|config| config.palm_duplicate_action = PalmDuplicateAction::Flag)
        .await;
    let challenge = world.enroll("bob", &scanner, "left").await;
    let lost = Fault::Silence { carried_out: true };
    world.palms.inject(Operation::Add, lost);
    for (noise, told) in [(1, "service_unavailable"), (2, "enrolled")] {
        let shown = scanner.complete(&challenge, capture(PALM, noise)).await;
        assert!(shown.expect(200).to_string().contains(told));
    }
    assert_eq!(world.palms.template_count(), 2);
    assert_eq!(world.detected().await.len(), 1);
}
