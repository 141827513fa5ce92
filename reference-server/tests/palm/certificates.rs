//! What the audit trail keeps of certificates that fail, and what becomes of their connections.

use std::sync::Arc;

use identity_mtls::LiveConnections;
use identity_store::{
    AuditRow, Chain, Notice, Origin, StoreObserver, Transaction, UnreadableValue,
};
use serde_json::json;

use crate::world::{Device, World, world, world_with_rate_limits};

impl World {
    /// The rows of the tenant's chain with this action.
    async fn audited(&self, action: &str) -> Vec<AuditRow> {
        let chain = Chain::Tenant(self.tenant.clone());
        let store = &self.app.store;
        store.seal_audit(10_000).await.unwrap();
        let rows = store.sealed_audit(&chain, 0, 10_000).await.unwrap();
        rows.into_iter()
            .map(|sealed| sealed.row)
            .filter(|row| row.action == action)
            .collect()
    }
}

pub(crate) fn renewal() -> serde_json::Value {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    json!({"csr": parameters.serialize_request(&key).unwrap().pem().unwrap()})
}

async fn is_out(device: &Device) -> bool {
    let device = device.on_a_new_connection();
    device.try_get("/v1/devices/self").await.is_err()
}

#[tokio::test]
async fn a_superseded_certificate_that_is_offered_is_audited_once_a_minute() {
    let world = world().await;
    let device = world.scanner("dev_1").await;
    let renewed = device.caller.post("/v1/devices/renew", renewal()).await;
    renewed.expect(200);
    for _ in 0..3 {
        assert!(is_out(&device).await);
    }
    let rows = loop {
        let rows = world.audited("superseded_certificate_used").await;
        if !rows.is_empty() {
            break rows;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].severity, identity_store::Severity::High);
    let metadata = json!({
        "device_id": "dev_1", "old_fingerprint": device.fingerprint.to_string(),
    });
    assert_eq!(rows[0].metadata, metadata);

    // A revoked device's certificate was not superseded by another.
    let revoked = world.scanner("dev_2").await;
    let path = format!("/v1/devices/{}", revoked.id());
    world.integrator().delete(&path).await.expect(200);
    assert!(is_out(&revoked).await);
    world.clock.advance(std::time::Duration::from_secs(60));
    assert!(is_out(&device).await);
    loop {
        let rows = world.audited("superseded_certificate_used").await;
        if rows.len() > 1 {
            assert!(rows.iter().all(|row| row.metadata == metadata), "{rows:?}");
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_device_cannot_flood_the_audit_trail_with_renewals_that_fail() {
    let world = world_with_rate_limits().await;
    let device = world.scanner("dev_1").await;
    for n in 0..30 {
        let refused = device.caller.post("/v1/devices/renew", json!([])).await;
        let (status, error) = match n {
            0..10 => (422, "validation_failed"),
            _ => (429, "rate_limited"),
        };
        refused.refused(status, error);
    }
    assert_eq!(world.audited("cert_renewal_failed").await.len(), 10);
}

/// As one does whose thief has the key of a CA that is tainted, and still accepted.
#[tokio::test]
async fn another_certificate_with_the_number_of_the_active_one_is_nobodys() {
    let world = world_with_rate_limits().await;
    let device = world.scanner("dev_1").await;
    device.caller.get("/v1/devices/self").await.expect(200);
    let impostor = world.impostor(&device);
    for path in ["/v1/devices/self", "/v1/challenges/pending"] {
        let refused = impostor.get(path).await;
        refused.refused(401, "device_not_paired");
    }
    // It took none of the device's polls, and takes none of its renewals.
    let polled = device.caller.get("/v1/challenges/pending").await;
    polled.expect(200);
    for n in 0..12 {
        let (status, error) = match n {
            0..10 => (409, "renewal_conflict"),
            _ => (429, "rate_limited"),
        };
        let refused = impostor.post("/v1/devices/renew", renewal()).await;
        refused.refused(status, error);
    }
    assert_eq!(world.audited("cert_renewal_failed").await.len(), 10);
    let renewed = device.caller.post("/v1/devices/renew", renewal()).await;
    renewed.expect(200);
}

#[tokio::test]
async fn a_certificate_that_expires_on_an_open_connection_is_refused_at_once() {
    let world = world().await;
    let device = world.scanner("dev_1").await;
    device.caller.get("/v1/devices/self").await.expect(200);
    world
        .clock
        .advance(std::time::Duration::from_secs(91 * 24 * 60 * 60));
    // Or the connection is closed already, and a new one does not come about.
    if let Ok(answer) = device.caller.try_get("/v1/devices/self").await {
        assert_eq!(answer.status(), 401);
    }
}

/// The job that reads what other replicas denied, always faster than who denies here.
#[derive(Debug)]
struct FastJob(LiveConnections);

impl StoreObserver for FastJob {
    fn noticed(&self, notice: &Notice, _origin: Origin) {
        if *notice == Notice::Denied {
            assert_eq!(self.0.close_where(|_| true), 1);
        }
    }

    fn transaction_ended(&self, _transaction: &Transaction) {}

    fn unreadable(&self, _value: &UnreadableValue) {}
}

#[tokio::test]
async fn a_connection_that_the_job_closed_first_counts_as_closed_by_the_revocation() {
    let world = world().await;
    let device = world.scanner("dev_1").await;
    device.caller.get("/v1/devices/self").await.expect(200);
    let job = FastJob(world.app.live.clone());
    world.app.store.observe(Arc::new(job));
    let path = format!("/v1/devices/{}", device.id());
    let gone = world.integrator().delete(&path).await.expect(200);
    assert_eq!(gone["connections_closed"], 1);
}
