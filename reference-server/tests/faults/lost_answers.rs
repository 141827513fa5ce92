//! Connections that are cut at a chosen byte: of the answer, which is lost after the commit, or of
//! the request, whose client is gone.

use std::sync::Arc;

use http::Method;
use serde_json::json;

use crate::harness::{DeviceKey, Proxy, Random};
use crate::invariants::Invariants;
use crate::stage::Stage;
use crate::template::Backend;
use crate::{rounds, seed};

/// As many bytes a handshake and an answer with a certificate have, and some more.
const ANSWER: u64 = 6_000;
/// The same of a handshake and a request with a CSR.
const REQUEST: u64 = 4_000;

pub(crate) async fn an_answer_that_is_cut_at_any_byte_costs_nothing() {
    cut_answers(Stage::open().await).await;
}

pub(crate) async fn an_answer_over_postgresql_that_is_cut_at_any_byte_costs_nothing() {
    cut_answers(Stage::on(Backend::Postgres, 1).await).await;
}

pub(crate) async fn a_client_that_leaves_in_the_middle_of_a_request_costs_nothing() {
    cut_requests(Stage::open().await).await;
}

pub(crate) async fn a_client_over_postgresql_that_leaves_in_the_middle_of_a_request_costs_nothing()
{
    cut_requests(Stage::on(Backend::Postgres, 1).await).await;
}

/// Until a certificate was in the ledger whose answer was cut, and not only handshakes.
async fn cut_answers(mut stage: Stage) {
    let (mut random, mut committed, mut told) = (Random::seeded(seed()), 0, 0);
    while told < rounds(10) || committed == 0 {
        assert!(told < rounds(100), "every cut was in a handshake");
        let limit = Proxy::cut_answers_after;
        committed += cut(&stage, limit, || random.below(ANSWER)).await;
        told += 1;
    }
    Invariants::check(&mut stage).await;
}

async fn cut_requests(mut stage: Stage) {
    let mut random = Random::seeded(seed());
    for _ in 0..rounds(10) {
        cut(&stage, Proxy::cut_requests_after, || random.below(REQUEST)).await;
    }
    let extent = Invariants::check(&mut stage).await;
    assert!(extent.lost_answers > 0, "{extent:?}");
}

/// Pairs, renews and revokes over connections that are cut before so many bytes, and again over whole
/// ones. How many certificates whose answer was lost were in the ledger before the repetition.
async fn cut(
    stage: &Stage,
    limit: impl Fn(&Proxy, Option<usize>),
    mut place: impl FnMut() -> u64,
) -> usize {
    let mut place = || Some(usize::try_from(place()).unwrap());
    let ledger = async || stage.database.serials().await.len();
    let clients = &stage.clients;
    let front = &stage.replicas[0].front;
    let (id, code) = clients.register().await;
    let key = Arc::new(DeviceKey::generate());
    let pairing = json!({"pairing_code": code, "csr": key.csr(), "device_info": {}});
    let nobody = clients.nobody();
    let before = ledger().await;

    // A new connection, which the limit is for.
    front.cut_all();
    limit(front, place());
    let pair = nobody.request(Method::POST, "/v1/devices/pair");
    let first = clients.try_once(nobody, pair.json(&pairing)).await;
    limit(front, None);
    let mut committed = usize::from(first.is_none() && ledger().await > before);
    let mut device = clients.pair_with(&id, &code, key).await;
    if let Some(first) = first {
        assert_eq!(first.json["certificate"], *device.holding.certificate);
    }

    let renewal = json!({"csr": DeviceKey::generate().csr()});
    let own = clients.device(&device);
    let before = ledger().await;
    limit(front, place());
    let renew = own.request(Method::POST, "/v1/devices/renew");
    let renewed = clients.try_once(&own, renew.json(&renewal)).await;
    limit(front, None);
    committed += usize::from(renewed.is_none() && ledger().await > before);
    match renewed {
        // Its key was thrown away: as good as lost.
        Some(reply) if reply.status == 200 => clients.pair_anew(&mut device).await,
        Some(_) | None => clients.renew(&mut device).await,
    }

    front.cut_all();
    limit(front, place());
    let operator = clients.operator();
    let revoke = operator.request(Method::DELETE, &format!("/v1/devices/{id}"));
    clients.try_once(&operator, revoke).await;
    limit(front, None);
    clients.revoke(&device).await;
    committed
}
