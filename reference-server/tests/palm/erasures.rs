//! A palm that is erased while it is to be enrolled again.

use std::time::Duration;

use biowave_client::Operation;
use biowave_client::simulator::Fault;
use serde_json::Value;

use crate::calls::capture;
use crate::world::{Device, Setting, World};

impl World {
    /// Takes the consent back, waits until the palm server was asked to forget, and consents again.
    async fn changes_their_mind(&self, user_id: &str) {
        self.consent(user_id, false).await.expect(201);
        self.is_erasing().await;
        self.consent(user_id, true).await.expect(201);
    }

    /// Waits until the palm server was asked to forget.
    async fn is_erasing(&self) {
        let erasing = || {
            let calls = self.palms.calls();
            calls.iter().any(|call| call.operation == Operation::Delete)
        };
        while !erasing() {
            tokio::task::yield_now().await;
        }
    }

    /// Shows the palm until the palm server has carried out its erasure, while the device is told to come
    /// later, and until it is enrolled once nobody can be about to erase it. No capture is like one up
    /// to `noise`.
    async fn learns_after_the_erasure(
        &self,
        user_id: &str,
        scanner: &Device,
        challenge: &str,
        mut noise: u64,
    ) {
        while self.palms.template_count() > 0 {
            noise += 1;
            let shown = scanner.complete(challenge, capture(7, noise)).await;
            let outcome = shown.expect(200);
            assert_eq!(outcome["reason_code"], "service_unavailable", "{outcome}");
        }
        self.clock.advance(Duration::from_secs(6));
        let (_, outcome) = show_until_decided(scanner, challenge).await;
        assert_eq!(outcome["status"], "enrolled", "{outcome}");
        assert!(self.agrees_on(user_id).await);
    }

    /// Whether our record and the palm server agree that the user has their left palm enrolled.
    async fn agrees_on(&self, user_id: &str) -> bool {
        let path = format!("/v1/users/{user_id}");
        let user = self.integrator().get(&path).await.expect(200);
        user["palm_enrolled"] == true && self.palms.template_count() == 1
    }
}

/// Shows the palm again while the device is told to come later; how often, and what it is told then.
async fn show_until_decided(scanner: &Device, challenge: &str) -> (u64, Value) {
    let mut tries = 0;
    loop {
        tries += 1;
        let shown = scanner.complete(challenge, capture(7, tries)).await;
        let outcome = shown.expect(200);
        if outcome["reason_code"] != "service_unavailable" {
            return (tries, outcome);
        }
        assert!(outcome["retry_after_ms"].is_u64(), "{outcome}");
    }
}

#[tokio::test]
async fn a_palm_is_learnt_again_only_when_its_erasure_is_over() {
    let world = crate::world::world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    let slow = Fault::Slow(Duration::from_millis(800));
    world.palms.inject(Operation::Delete, slow);
    world.changes_their_mind("ada").await;
    let challenge = world.enroll("ada", &scanner, "left").await;
    let (tries, outcome) = show_until_decided(&scanner, &challenge).await;
    assert_eq!(outcome["status"], "enrolled", "{outcome}");
    assert!(tries > 1, "the erasure was under way when the palm came");
    assert!(world.agrees_on("ada").await);
}

#[tokio::test]
async fn a_palm_is_not_learnt_while_an_unanswered_erasure_may_still_happen() {
    let setting = Setting {
        palm_timeout_ms: Some(300),
        ..Setting::default()
    };
    let world = World::start(setting).await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    let slow = Fault::Slow(Duration::from_millis(1500));
    world.palms.inject(Operation::Delete, slow);
    world.changes_their_mind("ada").await;
    let challenge = world.enroll("ada", &scanner, "left").await;
    // The call was given up long before the palm server carries it out.
    world
        .learns_after_the_erasure("ada", &scanner, &challenge, 0)
        .await;
}

#[tokio::test]
async fn what_stands_in_the_way_of_an_enrolment_is_never_erased_behind_it() {
    let setting = Setting {
        palm_timeout_ms: Some(300),
        ..Setting::default()
    };
    let world = World::start(setting).await;
    let scanner = world.scanner("dev_1").await;
    world.user("ada").await;
    let challenge = world.enroll("ada", &scanner, "left").await;
    let lost = Fault::Silence { carried_out: true };
    world.palms.inject(Operation::Add, lost);
    // Another palm by mistake: whose answer is lost, and whose template the right palm does not match.
    for palm in [99, 7] {
        let shown = scanner.complete(&challenge, capture(palm, 0)).await;
        let outcome = shown.expect(200);
        assert_eq!(outcome["reason_code"], "service_unavailable", "{outcome}");
    }
    // It is carried out long after the call was given up.
    let slow = Fault::Slow(Duration::from_millis(1500));
    world.palms.inject(Operation::Delete, slow);
    world.is_erasing().await;
    world
        .learns_after_the_erasure("ada", &scanner, &challenge, 100)
        .await;
    let challenge = world.verify("ada", &scanner).await;
    let shown = scanner.complete(&challenge, capture(7, 99)).await;
    assert_eq!(shown.expect(200)["status"], "completed");
}
