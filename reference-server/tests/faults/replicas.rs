//! Two server processes on one PostgreSQL.

use std::sync::Arc;

use http::Method;
use identity_store::LeaseName;
use serde_json::json;

use crate::clients::{Clients, Device, text};
use crate::harness::{Api, DeviceKey, Flow};
use crate::invariants::Invariants;
use crate::outage::recovers;
use crate::retry::until;
use crate::rounds;
use crate::stage::{Setting, Stage};
use crate::template::Backend;
use crate::workload::Workload;

/// So many requests reach the two replicas at the same time.
pub(crate) const RIVALS: usize = 8;

/// As many as that for one pairing code.
const CODE_RIVALS: usize = 64;

pub(crate) async fn two() -> Stage {
    Stage::on(Backend::Postgres, 2).await
}

pub(crate) async fn of_those_who_redeem_one_code_at_two_replicas_one_wins() {
    let mut stage = two().await;
    for _ in 0..rounds(5) {
        let clients = &stage.clients;
        let (id, code) = clients.register().await;
        let keys = [(); CODE_RIVALS].map(|()| Arc::new(DeviceKey::generate()));
        let pair = |key: &Arc<DeviceKey>| {
            let body = json!({"pairing_code": code, "csr": key.csr(), "device_info": {}});
            let pairing = clients.nobody().request(Method::POST, "/v1/devices/pair");
            pairing.json(&body)
        };
        let replies = clients.at_once(keys.iter().map(pair)).await;
        let mut winners = Vec::new();
        for (key, reply) in keys.iter().zip(replies) {
            let reply = reply.expect("an answer");
            match reply.status {
                200 => winners.push(key),
                _ => assert_eq!((reply.status, reply.error()), (401, "pairing_code_invalid")),
            }
        }
        assert_eq!(winners.len(), 1);
        // The same key gets the same certificate at either.
        for _ in 0..2 {
            clients.pair_with(&id, &code, Arc::clone(winners[0])).await;
        }
    }
    Invariants::check(&mut stage).await;
}

pub(crate) async fn of_those_who_renew_one_certificate_at_two_replicas_one_wins() {
    let mut stage = two().await;
    for _ in 0..rounds(5) {
        let clients = &stage.clients;
        let mut device = clients.paired().await;
        let renew = |_| {
            let body = json!({"csr": DeviceKey::generate().csr()});
            let renewal = clients
                .device(&device)
                .request(Method::POST, "/v1/devices/renew");
            renewal.json(&body)
        };
        let replies = clients.at_once((0..RIVALS).map(renew)).await;
        let mut won = 0;
        // The others' connections may be closed already.
        for reply in replies.into_iter().flatten() {
            match reply.status {
                200 => won += 1,
                _ => assert_eq!((reply.status, reply.error()), (409, "renewal_conflict")),
            }
        }
        assert_eq!(won, 1);
        clients.pair_anew(&mut device).await;
    }
    let extent = Invariants::check(&mut stage).await;
    assert_eq!(extent.unavailable, 0, "{extent:?}");
}

pub(crate) async fn of_those_who_poll_for_one_token_at_two_replicas_one_gets_it() {
    let mut stage = two().await;
    let clients = &stage.clients;
    let device = clients.paired().await;
    let user = clients.user().await;
    clients.enrol(&device, &user, 7).await;
    let client = json!({"name": "shop", "scopes": ["challenges.write"]});
    let client = clients.create("/v1/oauth-clients", &client).await;
    let client = client.expect(201);
    let [id, secret] = ["client_id", "client_secret"].map(|name| text(&client[name]));
    clients.journal.hide(secret.as_str());
    let post = |path: &str, form: &[(&str, &str)]| {
        let request = clients.nobody().request(Method::POST, path);
        request.basic_auth(&id, Some(&secret)).form(form)
    };
    for round in 1..=rounds(5) {
        let form = [
            ("scope", "openid"),
            ("login_hint", &user),
            ("device_id", &device.id),
        ];
        let asked = clients.nobody().send(post("/v1/bc-authorize", &form)).await;
        assert_eq!(asked.status, 200, "{}", asked.text);
        let auth_req_id = text(&asked.json["auth_req_id"]);
        let own = clients.device(&device);
        let pending = own.get("/v1/challenges/pending").await.json;
        let challenge = text(&pending["challenges"][0]["challenge_id"]);
        let noise = u64::try_from(round).expect("few");
        clients.complete(&device, &challenge, 7, noise).await;
        let form = [
            ("grant_type", "urn:openid:params:grant-type:ciba"),
            ("auth_req_id", &auth_req_id),
        ];
        let polls = (0..RIVALS).map(|_| post("/v1/auth/token", &form));
        let mut won = 0;
        for reply in clients.at_once(polls).await {
            let reply = reply.expect("an answer");
            match reply.status {
                200 => won += 1,
                _ => assert_eq!(
                    (reply.status, &reply.json["error"]),
                    (400, &json!("invalid_grant"))
                ),
            }
        }
        assert_eq!(won, 1);
    }
    Invariants::check(&mut stage).await;
}

/// Whether a replica holds a lease, by its own metrics.
pub(crate) async fn holds(stage: &Stage, replica: usize, lease: LeaseName) -> bool {
    let held = format!("leases_held{{lease=\"{}\"}}", lease.as_str());
    stage.counted(replica, &held).await == 1
}

pub(crate) async fn the_jobs_of_a_dead_replica_pass_on() {
    let mut stage = two().await;
    // The first to start has them all.
    for lease in LeaseName::ALL {
        until("it is held", async || holds(&stage, 0, lease).await).await;
    }
    let workload = Workload::start(&stage, 2, 2);
    workload.goes_on().await;
    stage.kill(0);
    for lease in LeaseName::ALL {
        until("it passes on", async || holds(&stage, 1, lease).await).await;
    }
    let (device, _) = stage.clients.register().await;
    let store = stage.database.store().await;
    until("its event has its place", async || {
        let events = store.outbox(0, u32::MAX).await.unwrap();
        events.iter().any(|event| event.subject == device)
    })
    .await;
    store.close().await;
    stage.start(0);
    recovers(&stage, workload).await;
    Invariants::check(&mut stage).await;
}

/// Ten renewals an hour, five at either.
pub(crate) async fn limits_hold_over_two_replicas_together() {
    let mut stage = Stage::with(Setting {
        backend: Backend::Postgres,
        replicas: 2,
        variables: vec![("IDENTITY_RATE_LIMITS", "on".to_owned())],
        ..Setting::default()
    })
    .await;
    let clients = &stage.clients;
    let mut device = clients.paired().await;
    for _ in 0..10 {
        clients.renew(&mut device).await;
    }
    for own in &device.holding.connections {
        let csr = json!({"csr": DeviceKey::generate().csr()});
        let renewal = own.request(Method::POST, "/v1/devices/renew").json(&csr);
        let reply = own.send(renewal).await;
        assert_eq!(reply.status, 429, "{}", reply.text);
        assert!(reply.header("retry-after").is_some());
    }
    Invariants::check(&mut stage).await;
}

pub(crate) async fn a_revocation_at_one_replica_closes_connections_at_the_other() {
    let mut stage = two().await;
    for _ in 0..rounds(3) {
        let device = stage.clients.paired().await;
        closes_at_the_other(&stage, &device).await;
    }
    Invariants::check(&mut stage).await;
}

/// The other replica finds it by its own look: its listener is cut off, and does not come back.
pub(crate) async fn a_revocation_arrives_without_the_listener() {
    let mut stage = two().await;
    let hears = async || stage.counted(1, "notification_listener_connected ").await == 1;
    for _ in 0..rounds(3) {
        let device = stage.clients.paired().await;
        until("it listens", hears).await;
        deafen(&stage).await;
        assert!(!hears().await);
        closes_at_the_other(&stage, &device).await;
        stage.link(1).set_flow(Flow::Pass);
    }
    Invariants::check(&mut stage).await;
}

/// Cuts off the second replica's listener, which does not come back while connections are refused.
pub(crate) async fn deafen(stage: &Stage) {
    const END: &str = "
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'identity-store listener'";
    const BOTH_LISTEN: &str = "
        SELECT (count(*) = 2)::text FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'identity-store listener'
          AND state = 'idle' AND query <> ''";
    let lost = || {
        let lines = stage.replicas[1].logs[0].lines();
        let lost = lines.iter();
        lost.filter(|line| line.contains("the listener for notices"))
            .count()
    };
    until("both listen", async || {
        postgres_cluster::ask(&stage.database.url(), BOTH_LISTEN).as_deref() == Some("true")
    })
    .await;
    let before = lost();
    stage.link(1).set_flow(Flow::Refuse);
    stage.database.tamper(END).await;
    until("the other is deaf", async || lost() > before).await;
}

/// A device waits for work at the second replica, and is revoked at the first.
async fn closes_at_the_other(stage: &Stage, device: &Device) {
    let clients = &stage.clients;
    let own = device.holding.connections[1].clone();
    let connections = async || stage.counted(1, "device_connections ").await;
    let poll = own.clone();
    let poll = tokio::spawn(async move {
        let request = poll.request(Method::GET, "/v1/challenges/pending?wait=25");
        poll.try_send(request)
            .await
            .is_ok_and(|reply| reply.status == 200)
    });
    until("it is connected", async || connections().await == 1).await;
    let path = format!("/v1/devices/{}", device.id);
    let revoked = first(clients).delete(&path).await;
    assert_eq!(revoked.status, 200, "{}", revoked.text);
    clients.journal.revoked(&device.id);
    assert!(!poll.await.unwrap(), "a revoked device is served");
    until("they are closed", async || connections().await == 0).await;
    assert!(own.try_get("/v1/devices/self").await.is_err());
}

/// The administrator, at the first replica.
fn first(clients: &Clients) -> Api {
    clients.replicas[0].with_bearer(&clients.token)
}

pub(crate) async fn a_poll_at_one_replica_wakes_for_a_challenge_made_at_the_other() {
    let mut stage = two().await;
    let clients = stage.clients.clone();
    for _ in 0..rounds(2) {
        let (device, other) = (clients.paired().await, clients.paired().await);
        let user = clients.user().await;
        let poll = |device: &Device, wait: u8| {
            let own = device.holding.connections[1].clone();
            let path = format!("/v1/challenges/pending?wait={wait}");
            tokio::spawn(async move { own.get(&path).await })
        };
        // A poll reads again by itself after ten seconds: this one is answered before that.
        let mut earlier = poll(&other, 9);
        let woken = poll(&device, 25);
        let body = json!({"user_id": user, "device_id": device.id, "type": "left"});
        let asked = first(&clients).post("/v1/enroll", body).await;
        assert_eq!(asked.status, 201, "{}", asked.text);
        let reply = tokio::select! {
            reply = woken => reply.unwrap(),
            _ = &mut earlier => panic!("it read again, and was not woken"),
        };
        let challenges = &reply.json["challenges"];
        assert_eq!(challenges[0]["challenge_id"], asked.json["challenge_id"]);
        earlier.abort();
    }
    Invariants::check(&mut stage).await;
}

/// As an upgrade does, one after the other.
pub(crate) async fn replicas_that_are_stopped_in_turn_lose_nothing() {
    let mut stage = two().await;
    let workload = Workload::start(&stage, 2, 2);
    for round in 0..rounds(4) {
        workload.goes_on().await;
        let stopped = round % 2;
        stage.stop_one(stopped);
        workload.goes_on().await;
        stage.start(stopped);
    }
    workload.finish().await;
    // A device that is out tries again, and its connection is closed.
    let mut cut = std::mem::take(&mut stage.clients.journal.book().cut);
    cut.retain(|path| path != "/v1/devices/self");
    assert!(cut.is_empty(), "{cut:?}");
    let extent = Invariants::check(&mut stage).await;
    assert_eq!(extent.unavailable, 0, "{extent:?}");
}
