//! How an outage looks to clients, and its end.

use crate::retry::until;
use crate::stage::Stage;
use crate::workload::Workload;

/// So many more requests are answered 503.
pub(crate) async fn requests_are_refused(stage: &Stage, more: usize) {
    let enough = stage.clients.journal.book().unavailable + more;
    until("requests are refused", async || {
        stage.clients.journal.book().unavailable >= enough
    })
    .await;
}

/// Health says why requests are refused.
pub(crate) async fn health_is_down(stage: &Stage) {
    for path in ["/readyz", "/actuator/health"] {
        until("health says so", async || {
            let reply = stage.clients.nobody().get(path).await;
            reply.status == 503 && reply.json["status"] == "DOWN"
        })
        .await;
    }
}

/// The same processes serve again, by themselves; the clients end their lives.
pub(crate) async fn recovers(stage: &Stage, workload: Workload) {
    until("health says so", async || {
        let reply = stage.clients.nobody().get("/actuator/health").await;
        reply.status == 200 && reply.json["status"] == "UP"
    })
    .await;
    workload.goes_on().await;
    workload.finish().await;
}
