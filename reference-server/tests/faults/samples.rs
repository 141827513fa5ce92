//! Samples of one challenge that reach two replicas at once.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use biowave_client::simulator::palm_png;
use http::Method;
use serde_json::json;

use crate::clients::Device;
use crate::harness::Reply;
use crate::invariants::Invariants;
use crate::journal::Told;
use crate::replicas::RIVALS;
use crate::retry::until;
use crate::rounds;
use crate::stage::{Setting, Stage};
use crate::template::Backend;

/// A palm server that is waited for, and two replicas.
async fn two_with_a_slow_palm_server() -> Stage {
    const LONG_MS: &str = "30000";
    Stage::with(Setting {
        backend: Backend::Postgres,
        replicas: 2,
        variables: vec![("BIOWAVE_TIMEOUT_MS", LONG_MS.to_owned())],
        ..Setting::default()
    })
    .await
}

/// What so many samples of a palm, sent to the replicas in turn, are answered: the palm server answers
/// when an attempt at one replica waits for the other's, and is asked once.
async fn meet(
    stage: &Stage,
    device: &Device,
    challenge: &str,
    palm: u64,
    rivals: usize,
) -> Vec<Reply> {
    let clients = &stage.clients;
    let path = format!("/v1/challenges/{challenge}/complete");
    let complete = |noise| {
        let image = |palm| STANDARD.encode(palm_png(palm, noise));
        let body = json!({"palm_template": {"image_rgb": image(palm), "image_ir": image(!palm)}});
        let own = clients.device(device);
        own.request(Method::POST, &path).json(&body)
    };
    let (calls, waiting) = (stage.palms.calls().len(), waiting(stage).await);
    let held = stage.palm_link.hold(b"/KZ/");
    let met = async {
        until("they meet", async || self::waiting(stage).await > waiting).await;
        drop(held);
    };
    let (replies, ()) = tokio::join!(clients.at_once((0..rivals as u64).map(complete)), met);
    assert_eq!(stage.palms.calls().len(), calls + 1);
    let replies = replies.into_iter().map(|reply| reply.expect("an answer"));
    replies.collect()
}

pub(crate) async fn of_those_who_complete_one_challenge_at_two_replicas_one_ends_it() {
    let mut stage = two_with_a_slow_palm_server().await;
    for _ in 0..rounds(5) {
        let clients = &stage.clients;
        let device = clients.paired().await;
        let user = clients.user().await;
        let palm = clients.number();
        let challenge = clients.ask_to_enrol(&device, &user).await;
        let mut outcomes = Vec::new();
        for reply in meet(&stage, &device, &challenge, palm, RIVALS).await {
            match reply.status {
                200 => outcomes.push(reply.text),
                // It came when the challenge had ended.
                _ => assert_eq!((reply.status, reply.error()), (409, "challenge_terminal")),
            }
        }
        assert!(outcomes.len() >= 2, "{outcomes:?}");
        assert!(outcomes[0].contains("enrolled"), "{outcomes:?}");
        outcomes.dedup();
        assert_eq!(outcomes.len(), 1, "{outcomes:?}");
        clients.journal.note(Told::Enrolled { challenge, user });
    }
    Invariants::check(&mut stage).await;
}

/// The challenge stays open: one of the two uses a try, and the other is told so.
pub(crate) async fn of_those_who_fail_one_challenge_at_two_replicas_one_uses_a_try() {
    let mut stage = two_with_a_slow_palm_server().await;
    let clients = &stage.clients;
    let device = clients.paired().await;
    let user = clients.user().await;
    let palm = clients.number();
    clients.enrol(&device, &user, palm).await;
    let challenge = clients.ask_to_verify(&device, &user).await;
    for left in [2, 1] {
        let nobodys = clients.number();
        for reply in meet(&stage, &device, &challenge, nobodys, 2).await {
            assert_eq!(reply.status, 200, "{}", reply.text);
            assert_eq!(reply.json["reason_code"], "not_found", "{}", reply.text);
            assert_eq!(reply.json["attempts_remaining"], left, "{}", reply.text);
        }
        let pending = clients.device(&device).get("/v1/challenges/pending").await;
        let open = &pending.json["challenges"][0];
        assert_eq!(open["attempts_remaining"], left, "{}", pending.text);
    }
    let receipt = clients.complete(&device, &challenge, palm, 1).await;
    clients.journal.note(Told::Verified { challenge, receipt });
    Invariants::check(&mut stage).await;
}

/// How often an attempt found another under way.
async fn waiting(stage: &Stage) -> u64 {
    const BEATEN: &str = "transactions_total{name=\"begin_attempt\",ended=\"refused\"}";
    stage.counted(0, BEATEN).await + stage.counted(1, BEATEN).await
}
