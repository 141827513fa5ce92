//! Connections that are cut at a chosen byte: of the answer, which is lost after the commit, or of
//! the request, whose client is gone.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::CONTENT_TYPE;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::harness::{DeviceKey, Proxy, Random};
use crate::invariants::Invariants;
use crate::stage::Stage;
use crate::template::Backend;
use crate::{rounds, seed};

/// As many bytes a handshake and an answer with a certificate have, and some more.
const ANSWER: u64 = 6_000;
/// The same of a handshake and the begin of a request.
const BEGIN: u64 = 4_000;
/// Blanks at the end of a body: it takes several TLS records, so that its begin is read without its end.
const PADDING: usize = 40_000;
/// As many bytes a handshake and a request with a CSR have, and some more.
const REQUEST: u64 = 45_000;
/// Within it a server has looked up who asks, and waits for the body.
const LOOKED_UP: Duration = Duration::from_millis(200);

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

/// Until a server has seen the begin of a body whose end did not come, and not only handshakes. A request
/// whose client is gone while it is looked up who asks is dropped, and no half of a body is seen.
async fn cut_requests(mut stage: Stage) {
    let (mut random, mut told) = (Random::seeded(seed()), 0);
    while told < rounds(10) || !has_seen_half_a_body(&stage).await {
        assert!(told < rounds(100), "no cut was in a body");
        let within = [BEGIN, REQUEST][told % 2];
        let pause = [Duration::ZERO, LOOKED_UP][told / 2 % 2];
        stage.replicas[0].front.pause_before_cut(pause);
        cut(&stage, Proxy::cut_requests_after, || random.below(within)).await;
        told += 1;
    }
    Invariants::check(&mut stage).await;
}

/// Nothing else is answered 400 here.
async fn has_seen_half_a_body(stage: &Stage) -> bool {
    let mut seen = 0;
    for route in ["pair", "renew"] {
        let series = format!(
            r#"http_requests_total{{method="POST",route="/v1/devices/{route}",status="400"}}"#
        );
        seen += stage.counted(0, &series).await;
    }
    seen > 0
}

/// `request` with this body.
fn with_body(request: RequestBuilder, body: &Value) -> RequestBuilder {
    let body = format!("{body}{}", " ".repeat(PADDING));
    request.header(CONTENT_TYPE, "application/json").body(body)
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
    let first = clients.try_once(nobody, with_body(pair, &pairing)).await;
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
    let renewed = clients.try_once(&own, with_body(renew, &renewal)).await;
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
