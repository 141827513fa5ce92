//! Certificates, tried again: 9, and the other half of 2.

use std::time::Duration;

use http::Method;
use identity_store::Store;

use crate::clients::{Clients, REQUEST_TIME, fingerprint};
use crate::harness::Api;
use crate::invariants::Violation;
use crate::journal::Holding;

/// So long what is to come about may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Tries every certificate on every replica, over a new connection and over the one that was kept:
/// those that were superseded or revoked are refused, and the active ones are served.
pub(crate) async fn try_again(clients: &Clients) -> Vec<Violation> {
    let (held, active) = {
        let book = clients.journal.book();
        (book.held.clone(), book.active.clone())
    };
    let mut found = Vec::new();
    for holding in held {
        let is_active = active.get(&holding.device) == Some(&holding.certificate);
        for (replica, kept) in clients.replicas.iter().zip(&holding.connections) {
            let fresh = replica.with_certificate(&holding.key, &holding.certificate);
            for (connection, api) in [("kept", kept), ("new", &fresh)] {
                let is_served = is_served(api, is_active).await;
                if is_served != is_active {
                    found.push(wrong(&holding, connection, is_active));
                }
            }
        }
    }
    found
}

fn wrong(holding: &Holding, connection: &str, is_active: bool) -> Violation {
    let number = if is_active { 2 } else { 9 };
    let fingerprint = fingerprint(&holding.certificate);
    let what = if is_active {
        "active and refused"
    } else {
        "out and served"
    };
    Violation(
        number,
        format!("{fingerprint} is {what}, {connection} connection"),
    )
}

/// Whether a request with the certificate succeeds. One that should is asked once more, since the
/// connection that was kept may have ended with an earlier process.
async fn is_served(api: &Api, expected: bool) -> bool {
    for _ in 0..=usize::from(expected) {
        let request = api.request(Method::GET, "/v1/devices/self");
        if let Ok(reply) = api.try_send(request.timeout(REQUEST_TIME)).await
            && reply.status == 200
        {
            return true;
        }
    }
    false
}

/// Waits until the palm server has erased what is due.
pub(crate) async fn erasures_are_done(store: &dyn Store) {
    until("palms are erased", async || {
        store
            .due_palm_erasures(1)
            .await
            .expect("what is due")
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
