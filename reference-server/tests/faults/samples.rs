//! Samples of one challenge that reach two replicas at once.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use biowave_client::simulator::palm_png;
use http::Method;
use reqwest::RequestBuilder;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::clients::{Clients, Device, text};
use crate::harness::Reply;
use crate::invariants::Invariants;
use crate::journal::Told;
use crate::replicas::RIVALS;
use crate::retry::until;
use crate::rounds;
use crate::stage::{Setting, Stage};
use crate::template::Backend;

/// A device, a palm that it enrolled, and a challenge to verify that.
async fn to_be_verified(clients: &Clients) -> (Device, u64, String) {
    let device = clients.paired().await;
    let user = clients.user().await;
    let palm = clients.number();
    clients.enrol(&device, &user, palm).await;
    let challenge = clients.ask_to_verify(&device, &user).await;
    (device, palm, challenge)
}

/// A palm server that is waited for so long, and replicas.
async fn with_a_slow_palm_server(replicas: usize, timeout: Duration) -> Stage {
    let millis = timeout.as_millis().to_string();
    Stage::with(Setting {
        backend: Backend::Postgres,
        replicas,
        variables: vec![("BIOWAVE_TIMEOUT_MS", millis)],
        ..Setting::default()
    })
    .await
}

async fn two_with_a_slow_palm_server() -> Stage {
    with_a_slow_palm_server(2, Duration::from_secs(30)).await
}

/// A sample of a palm, by the device's client of that replica.
fn sample(
    device: &Device,
    replica: usize,
    challenge: &str,
    palm: u64,
    noise: u64,
) -> RequestBuilder {
    let image = |palm| STANDARD.encode(palm_png(palm, noise));
    let body = json!({"palm_template": {"image_rgb": image(palm), "image_ir": image(!palm)}});
    let path = format!("/v1/challenges/{challenge}/complete");
    let own = &device.holding.connections[replica];
    own.request(Method::POST, &path).json(&body)
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
    let (clients, replicas) = (&stage.clients, stage.replicas.len());
    let complete = |rival: usize| sample(device, rival % replicas, challenge, palm, rival as u64);
    let (calls, waiting) = (stage.palms.calls().len(), waiting(stage).await);
    let held = stage.palm_link.hold(b"/KZ/");
    let met = async {
        until("they meet", async || self::waiting(stage).await > waiting).await;
        drop(held);
    };
    let (replies, ()) = tokio::join!(clients.at_once((0..rivals).map(complete)), met);
    // An enrolment looks for the palm before it adds it.
    let mut asked = stage.palms.calls().split_off(calls);
    asked.dedup_by_key(|call| call.operation);
    let all = stage.palms.calls().len() - calls;
    assert!((1..=2).contains(&all), "{all} calls");
    assert_eq!(asked.len(), all, "each once");
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
    let (device, palm, challenge) = to_be_verified(clients).await;
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

/// Another sample is decided on before the one that waited looks.
pub(crate) async fn who_waited_is_told_of_the_sample_that_it_waited_for() {
    let mut stage = two_with_a_slow_palm_server().await;
    let clients = Arc::clone(&stage.clients);
    let (device, palm, challenge) = to_be_verified(&clients).await;
    let send =
        |replica, palm, noise| sent(&clients, sample(&device, replica, &challenge, palm, noise));
    let (nobodys, before) = (clients.number(), waiting(&stage).await);
    let asked = stage.palm_link.hold(b"/KZ/");
    let first = send(0, nobodys, 1);
    until("it is decided on", async || asked.hits() > 0).await;
    let second = send(1, nobodys, 2);
    until("it waits", async || waiting(&stage).await > before).await;
    let looks = stage.link(1).hold(challenge.clone().into_bytes().leak());
    drop(asked);
    let first = answer(first).await;
    assert_eq!(first.json["attempts_remaining"], 2, "{}", first.text);
    until("it looks", async || looks.hits() > 0).await;
    let third = answer(send(0, palm, 3)).await;
    assert_eq!(third.json["status"], "completed", "{}", third.text);
    drop(looks);
    assert_eq!(answer(second).await.json, first.json);
    let receipt = text(&third.json["receipt"]);
    clients.journal.note(Told::Verified { challenge, receipt });
    Invariants::check(&mut stage).await;
}

/// Of two who waited one decides, and the other finds that it does.
pub(crate) async fn who_waited_for_a_dead_replica_is_told_of_the_sample_in_its_place() {
    let mut stage = with_a_slow_palm_server(3, Duration::from_secs(2)).await;
    let clients = Arc::clone(&stage.clients);
    let (device, palm, challenge) = to_be_verified(&clients).await;
    let send = |replica| {
        sent(
            &clients,
            sample(&device, replica, &challenge, palm, 1 + replica as u64),
        )
    };
    let before = waiting(&stage).await;
    let asked = stage.palm_link.hold(b"/KZ/");
    let first = send(0);
    until("it is decided on", async || asked.hits() > 0).await;
    let rest = [send(1), send(2)];
    until("they wait", async || waiting(&stage).await == before + 2).await;
    stage.kill(0);
    assert!(first.await.expect("no panic").is_none());
    until("one waits again", async || {
        waiting(&stage).await == before + 3
    })
    .await;
    drop(asked);
    let [second, third] = rest.map(answer);
    let (second, third) = (second.await, third.await);
    assert_eq!(second.json["status"], "completed", "{}", second.text);
    assert_eq!(second.json, third.json);
    let receipt = text(&second.json["receipt"]);
    clients.journal.note(Told::Verified { challenge, receipt });
    stage.start(0);
    Invariants::check(&mut stage).await;
}

/// Sends a request at once.
fn sent(clients: &Arc<Clients>, request: RequestBuilder) -> JoinHandle<Option<Reply>> {
    let clients = Arc::clone(clients);
    tokio::spawn(async move { clients.try_once(clients.nobody(), request).await })
}

async fn answer(sent: JoinHandle<Option<Reply>>) -> Reply {
    sent.await.expect("no panic").expect("an answer")
}

/// How often an attempt found another under way.
async fn waiting(stage: &Stage) -> u64 {
    const BEATEN: &str = "transactions_total{name=\"begin_attempt\",ended=\"refused\"}";
    let mut beaten = 0;
    for replica in 0..stage.replicas.len() {
        beaten += stage.counted(replica, BEATEN).await;
    }
    beaten
}
