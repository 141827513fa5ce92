//! Certificates and codes, tried again: 9, the other half of 2, and the end of 3.

use std::time::Duration;

use http::Method;
use identity_store::Store;
use serde_json::json;
use tokio::task::JoinSet;

use crate::clients::{REQUEST_TIME, fingerprint};
use crate::harness::{Api, DeviceKey};
use crate::invariants::Violation;
use crate::journal::Holding;
use crate::stage::Stage;

/// So long what is to come about may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How many certificates are tried at once: a story may end with ten thousand.
const AT_ONCE: usize = 16;

/// Tries every certificate on every replica, over a new connection, over the one that was kept, and,
/// when that was cut, over one that its client opens anew, by the session that it remembers if it can:
/// those that were superseded or revoked are refused, and the active ones are served. No code that was
/// used pairs another key.
pub(crate) async fn try_again(stage: &Stage) -> Vec<Violation> {
    let clients = &stage.clients;
    let (held, active) = {
        let book = clients.journal.book();
        (book.held.clone(), book.active.clone())
    };
    let is_active = |holding: &Holding| active.get(&holding.device) == Some(&holding.certificate);
    let mut found = several_at_once(&held, |holding| {
        let (is_active, replicas) = (is_active(&holding), clients.replicas.clone());
        async move {
            let mut found = Vec::new();
            for (replica, kept) in replicas.iter().zip(&holding.connections) {
                let fresh = replica.with_certificate(&holding.key, &holding.certificate);
                for (connection, api) in [("kept", kept), ("new", &fresh)] {
                    found.extend(wrong(&holding, connection, api, is_active).await);
                }
            }
            found
        }
    })
    .await;
    found.extend(used_codes_pair(stage).await);
    for replica in &stage.replicas {
        replica.front.cut_all();
    }
    let out: Vec<_> = held.into_iter().filter(|it| !is_active(it)).collect();
    let reopened = several_at_once(&out, |holding| async move {
        let mut found = Vec::new();
        for again in &holding.connections {
            found.extend(wrong(&holding, "reopened", again, false).await);
        }
        found
    });
    found.extend(reopened.await);
    found
}

/// What is found by trying each of the certificates, some of them at once.
async fn several_at_once<T>(held: &[Holding], trial: impl Fn(Holding) -> T) -> Vec<Violation>
where
    T: Future<Output = Vec<Violation>> + Send + 'static,
{
    let mut found = Vec::new();
    for some in held.chunks(AT_ONCE) {
        let trials: JoinSet<_> = some.iter().cloned().map(&trial).collect();
        found.extend(trials.join_all().await.into_iter().flatten());
    }
    found
}

async fn used_codes_pair(stage: &Stage) -> Vec<Violation> {
    let codes = stage.clients.journal.book().codes.clone();
    let (key, front) = (DeviceKey::generate(), &stage.replicas[0].front);
    let nobody = Api::https(front.address, &stage.first_run.server_key);
    let mut found = Vec::new();
    for used in codes.iter().filter(|code| code.led_to.is_some()) {
        let body = json!({"pairing_code": used.code, "csr": key.csr(), "device_info": {}});
        let reply = nobody.post("/v1/devices/pair", body).await;
        if (reply.status, reply.error()) != (401, "pairing_code_invalid") {
            let what = format!("a used code of {}: {}", used.device, reply.text);
            found.push(Violation(3, what));
        }
    }
    found
}

/// What is wrong with what a request with the certificate comes to.
async fn wrong(
    holding: &Holding,
    connection: &str,
    api: &Api,
    is_active: bool,
) -> Option<Violation> {
    let (number, state, expected) = if is_active {
        (2, "active", Tried::Served)
    } else {
        (9, "out", Tried::Refused)
    };
    let mut tried = try_once(api).await;
    if tried != expected && tried != Tried::Served {
        // The connection that was kept may have ended with an earlier process, and the machine be busy.
        tried = try_once(api).await;
    }
    let fingerprint = fingerprint(&holding.certificate);
    let what = format!("{fingerprint} is {state}, {connection} connection: {tried:?}");
    (tried != expected).then_some(Violation(number, what))
}

/// What a request with a certificate comes to.
#[derive(Debug, PartialEq)]
enum Tried {
    Served,
    /// By the handshake, by the end of the connection, or by the answer.
    Refused,
    /// For another reason, or not within the time.
    Neither(String),
}

async fn try_once(api: &Api) -> Tried {
    let request = api.request(Method::GET, "/v1/devices/self");
    match api.try_send(request.timeout(REQUEST_TIME)).await {
        Ok(reply) => match reply.status {
            200 => Tried::Served,
            401 | 403 => Tried::Refused,
            _ => Tried::Neither(reply.text),
        },
        Err(error) if error.is_timeout() => Tried::Neither(error.to_string()),
        Err(_) => Tried::Refused,
    }
}

/// Waits until the palm server has erased what is due, and chains are signed to their ends.
pub(crate) async fn jobs_are_done(store: &dyn Store) {
    until("palms are erased", async || {
        store
            .due_palm_erasures(1)
            .await
            .expect("what is due")
            .is_empty()
    })
    .await;
    until("heads are signed", async || {
        store
            .unsigned_heads(1)
            .await
            .expect("what is not")
            .is_empty()
    })
    .await;
    store.close().await;
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let so = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, so).await;
    assert!(in_time.is_ok(), "not within {PATIENCE:?}: {what}");
}
