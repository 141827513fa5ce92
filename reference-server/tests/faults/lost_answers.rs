//! Connections that are cut at a chosen byte: of the answer, which is lost after the commit, or of
//! the request, whose client is gone.

use std::sync::Arc;

use http::Method;
use serde_json::json;

use crate::harness::{Api, DeviceKey, Proxy, Random};
use crate::invariants::Invariants;
use crate::stage::Stage;
use crate::template::Backend;
use crate::{rounds, seed};

/// As many bytes a handshake and an answer with a certificate have, and some more.
const ANSWER: u64 = 6_000;
/// The same of a handshake and a request with a CSR.
const REQUEST: u64 = 4_000;

pub(crate) async fn an_answer_that_is_cut_at_any_byte_costs_nothing() {
    cut(Stage::open().await, Proxy::cut_answers_after, ANSWER).await;
}

pub(crate) async fn an_answer_over_postgresql_that_is_cut_at_any_byte_costs_nothing() {
    let stage = Stage::on(Backend::Postgres, 1).await;
    cut(stage, Proxy::cut_answers_after, ANSWER).await;
}

pub(crate) async fn a_client_that_leaves_in_the_middle_of_a_request_costs_nothing() {
    cut(Stage::open().await, Proxy::cut_requests_after, REQUEST).await;
}

pub(crate) async fn a_client_over_postgresql_that_leaves_in_the_middle_of_a_request_costs_nothing()
{
    let stage = Stage::on(Backend::Postgres, 1).await;
    cut(stage, Proxy::cut_requests_after, REQUEST).await;
}

/// Pairs, renews and revokes over connections that are cut before that many bytes, and again over whole
/// ones.
async fn cut(mut stage: Stage, limit: impl Fn(&Proxy, Option<usize>), most: u64) {
    let mut random = Random::seeded(seed());
    let mut place = || random.below(most);
    for _ in 0..rounds(10) {
        let clients = &stage.clients;
        let front = &stage.replicas[0].front;
        let (id, code) = clients.register().await;
        let key = Arc::new(DeviceKey::generate());
        let pairing = json!({"pairing_code": code, "csr": key.csr(), "device_info": {}});
        let pair = |api: &Api| api.request(Method::POST, "/v1/devices/pair").json(&pairing);

        // A new connection, which the limit is for.
        let at = usize::try_from(place()).unwrap();
        front.cut_all();
        limit(front, Some(at));
        let first = clients
            .try_once(clients.nobody(), pair(clients.nobody()))
            .await;
        limit(front, None);
        let mut device = clients.pair_with(&id, &code, key).await;
        if let Some(first) = first {
            assert_eq!(first.json["certificate"], *device.holding.certificate);
        }

        let renewal = json!({"csr": DeviceKey::generate().csr()});
        let own = clients.device(&device);
        limit(front, Some(usize::try_from(place()).unwrap()));
        let request = own
            .request(Method::POST, "/v1/devices/renew")
            .json(&renewal);
        let renewed = clients.try_once(&own, request).await;
        limit(front, None);
        match renewed {
            // Its key was thrown away: as good as lost.
            Some(reply) if reply.status == 200 => clients.pair_anew(&mut device).await,
            Some(_) | None => clients.renew(&mut device).await,
        }

        front.cut_all();
        limit(front, Some(usize::try_from(place()).unwrap()));
        let operator = clients.operator();
        let path = format!("/v1/devices/{id}");
        clients
            .try_once(&operator, operator.request(Method::DELETE, &path))
            .await;
        limit(front, None);
        clients.revoke(&device).await;
    }
    let extent = Invariants::check(&mut stage).await;
    assert!(extent.lost_answers > 0, "{extent:?}");
}
