//! Renewals whose answers are lost, where superseded certificates have their grace.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use crate::clients::Device;
use crate::harness::{ADMIN, Api, DeviceKey, PASSWORD, Random};
use crate::invariants::Invariants;
use crate::stage::{Stage, TENANT};
use crate::template::Backend;
use crate::{rounds, seed};

/// As many bytes a handshake and an answer with a certificate have, and some more.
const ANSWER: u64 = 6_000;

pub(crate) async fn a_scanner_whose_renewals_answer_is_lost_gets_it_again() {
    renewals(Stage::open().await).await;
}

pub(crate) async fn a_scanner_over_postgresql_whose_renewals_answer_is_lost_gets_it_again() {
    renewals(Stage::on(Backend::Postgres, 1).await).await;
}

/// Until an answer was lost behind its commit.
async fn renewals(mut stage: Stage) {
    let admin = stage.clients.nobody().sign_in(ADMIN, PASSWORD).await;
    let path = format!("/v1/admin/tenants/{TENANT}/config");
    let mut config = admin.get(&path).await.json;
    config["renewal_grace_seconds"] = json!(3600);
    assert_eq!(admin.put(&path, config).await.status, 200);
    let mut device = stage.clients.paired().await;
    let (mut random, mut told, mut lost) = (Random::seeded(seed()), 0, 0);
    while told < rounds(20) || lost == 0 {
        assert!(told < rounds(200), "every cut was in a handshake");
        let place = usize::try_from(random.below(ANSWER)).unwrap();
        lost += usize::from(renew(&stage, &mut device, place).await);
        told += 1;
    }
    println!("renewals: {told}, lost behind their commit: {lost}");
    Invariants::check(&mut stage).await;
}

/// Renews over a connection that is cut before so many bytes of answers, and again as a scanner does: with
/// the same key until it has a certificate. Whether the first answer was lost behind its commit.
async fn renew(stage: &Stage, device: &mut Device, place: usize) -> bool {
    let (clients, front) = (&stage.clients, &stage.replicas[0].front);
    let key = Arc::new(DeviceKey::generate());
    let renewal = json!({"csr": key.csr()});
    let old = clients.device(device);
    let asked = |body: &Value| old.request(Method::POST, "/v1/devices/renew").json(body);
    let ledger = async || stage.database.serials().await.len();
    let before = ledger().await;
    front.cut_all();
    front.cut_answers_after(Some(place));
    let first = clients.try_once(&old, asked(&renewal)).await;
    front.cut_answers_after(None);
    let is_lost = first.is_none() && ledger().await > before;
    if is_lost {
        let other = json!({"csr": DeviceKey::generate().csr()});
        let other = clients.try_once(&old, asked(&other)).await;
        assert!(other.is_none_or(|reply| reply.status == 409), "another key");
        let own = old.request(Method::GET, "/v1/devices/self");
        let own = clients.try_once(&old, own).await;
        assert!(own.is_none_or(|reply| reply.status == 401), "superseded");
    }
    let again = clients
        .insist(|_| old.clone(), |_| asked(&renewal))
        .await
        .expect(200);
    if let Some(first) = first {
        assert_eq!(first.json["certificate"], again["certificate"]);
    }
    assert_eq!(ledger().await, before + 1);
    *device = clients.received(&device.id, key, &again["certificate"]);
    let used = |api: &_| Api::request(api, Method::GET, "/v1/devices/self");
    clients
        .insist(|clients| clients.device(device), used)
        .await
        .expect(200);
    let late = clients.try_once(&old, asked(&renewal)).await;
    assert!(
        late.is_none_or(|reply| reply.status >= 400),
        "the new one was used"
    );
    is_lost
}
