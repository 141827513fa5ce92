//! Events on their way to a receiver, whatever becomes of the servers that deliver them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;

use crate::clients::text;
use crate::harness::Random;
use crate::invariants::Invariants;
use crate::kill::LEASES_END;
use crate::retry::until;
use crate::sink::Sink;
use crate::stage::{Setting, Stage};
use crate::template::Backend;
use crate::{rounds, seed};

/// Time passes until what the dead process had claimed is due again.
const CLAIMS_END: &str = "UPDATE webhook_deliveries SET due_at = 0 WHERE status = 'pending'";

/// The latest moment of a kill after events happened, in milliseconds: they are on their way in the second one.
const LATEST_MS: u64 = 2_000;

/// So many events happen before each kill.
const EVENTS: usize = 8;

pub(crate) async fn events_reach_their_receiver_though_the_server_is_killed_again_and_again() {
    killed_while_they_deliver(Backend::default(), 1).await;
}

pub(crate) async fn events_reach_their_receiver_though_replicas_are_killed_again_and_again() {
    killed_while_they_deliver(Backend::Postgres, 2).await;
}

async fn killed_while_they_deliver(backend: Backend, replicas: usize) {
    let mut random = Random::seeded(seed());
    let allowed = ("IDENTITY_WEBHOOK_ALLOW_LOOPBACK", "true".to_owned());
    let mut stage = Stage::with(Setting {
        backend,
        replicas,
        variables: vec![allowed],
        ..Setting::default()
    })
    .await;
    let sink = Sink::start();
    let webhook = json!({"url": sink.url("/ok"), "events": ["device.created"]});
    let made = stage.clients.create("/v1/webhooks", &webhook).await;
    stage
        .clients
        .journal
        .hide(text(&made.expect(201)["secret"]));
    let mut happened = BTreeSet::new();
    for round in 0..rounds(5) {
        for _ in 0..EVENTS {
            happened.insert(stage.clients.register().await.0);
        }
        tokio::time::sleep(Duration::from_millis(random.below(LATEST_MS))).await;
        stage.kill(round % replicas);
        stage.database.tamper(LEASES_END).await;
        stage.database.tamper(CLAIMS_END).await;
        stage.start(round % replicas);
    }
    let arrived = || -> BTreeSet<_> {
        let came = sink.all("/ok").into_iter();
        came.map(|it| text(&it.json()["subject"])).collect()
    };
    until("every event arrives", async || arrived() == happened).await;
    // Whatever came twice is the same event.
    let mut events = BTreeMap::new();
    for came in sink.all("/ok") {
        let id = came.header("webhook-id").to_owned();
        let known = events.entry(id).or_insert_with(|| came.body.clone());
        assert_eq!(*known, came.body);
    }
    assert_eq!(events.len(), happened.len());
    Invariants::check(&mut stage).await;
}
