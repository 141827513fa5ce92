//! All devices of a tenant at once.

use std::collections::{BTreeMap, BTreeSet};

use identity_challenge::{DeviceBinding, DeviceClass};
use identity_pki::{DeviceId, DeviceIdentity, PairingCodeHash, TenantId};
use identity_store::{Actor, Chain, Change, DeviceStore as _, NewDevice, PairingOffer, Store as _};
use reqwest::tls::Version;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::ca_rotation::is_over;
use crate::calls::answer;
use crate::platform::{Platform, text};

const REVOKE_ALL: &str = "/v1/admin/tenants/acme/devices/revoke-all";

#[tokio::test]
async fn all_devices_of_a_tenant_are_revoked_and_nobody_elses() {
    let platform = Platform::start().await;
    let other = platform.tenant("other").await;
    let stays = platform.scanner_of(&other).await;
    let scanners = [platform.scanner().await, platform.scanner().await];
    let (waiting, code) = platform.register().await;
    let open = scanners
        .each_ref()
        .map(|scanner| platform.connect(scanner, None));
    for connection in &open {
        connection.get("/v1/devices/self").await.expect(200);
    }
    let config = "/v1/admin/tenants/acme/config";
    let mut silent = platform.operator.get(config).await.expect(200);
    silent["audit_enabled"] = json!(false);
    platform.operator.put(config, silent).await.expect(200);

    let body = |confirm| json!({"confirm": confirm, "reason": "The contract has ended"});
    let wrong = platform.operator.post(REVOKE_ALL, body("other")).await;
    let wrong = wrong.refused(422, "validation_failed");
    assert_eq!(wrong["fields"][0]["path"], "confirm");
    let unknown = "/v1/admin/tenants/nobody/devices/revoke-all";
    let unknown = platform.operator.post(unknown, body("nobody")).await;
    unknown.refused(404, "not_found");
    let ask = async || {
        let request = platform.operator.request(http::Method::POST, REVOKE_ALL);
        let request = request
            .header("idempotency-key", "once")
            .json(&body("acme"));
        answer(request).await.expect(202)
    };
    let job = ask().await;
    assert_eq!(job["matched"], 3);
    assert_eq!(ask().await, job, "once is enough");
    let ended = platform.ended(&job["job_id"]).await;
    assert_eq!(
        (&ended["kind"], &ended["target"]),
        (&json!("revoke_tenant"), &json!("acme"))
    );
    assert_eq!(
        (&ended["status"], &ended["done"]),
        (&json!("succeeded"), &json!(3))
    );
    assert_eq!(ended["reason"], "The contract has ended");
    let path = format!("/v1/jobs/{}", text(&job["job_id"]));
    platform.admin.get(&path).await.refused(404, "not_found");

    for (scanner, connection) in scanners.iter().zip(&open) {
        is_over(connection).await;
        for version in [Version::TLS_1_2, Version::TLS_1_3] {
            assert!(platform.is_out(scanner, version).await, "{version:?}");
        }
        let shown = platform
            .admin
            .get(&format!("/v1/devices/{}", scanner.device_id))
            .await;
        assert_eq!(shown.expect(200)["status"], "revoked");
    }
    let shown = platform
        .admin
        .get(&format!("/v1/devices/{waiting}"))
        .await
        .expect(200);
    assert_eq!(shown["status"], "revoked");
    let key = crate::platform::Key::new();
    let late = platform.pair(&code, &key.csr()).await;
    late.refused(401, "pairing_code_invalid");
    let connection = platform.connect(&stays, None);
    connection.get("/v1/devices/self").await.expect(200);

    let audit = platform.audit().await;
    let row = audit
        .iter()
        .find(|row| row.action == "device_certs_bulk_revoked");
    let row = row.expect("the platform's rows are never silenced");
    let expected = json!({
        "job_id": job["job_id"], "tenant_id": "acme", "ca_fingerprint": null, "count": 3, "failed": 0,
        "revoked_by": ended["asked_by"],
    });
    assert_eq!(row.metadata, expected);
}

/// Registers devices that wait to be paired, beside the server.
async fn register_many(platform: &Platform, count: usize) {
    let store = platform.store().await;
    let tenant_id: TenantId = "acme".parse().unwrap();
    for number in 0..count {
        let device_id = DeviceId::new(format!("dev_{number:04}")).unwrap();
        let mut code = [7; 32];
        code[..8].copy_from_slice(&number.to_be_bytes());
        let device = NewDevice {
            identity: DeviceIdentity::new(tenant_id.clone(), device_id),
            name: "One of many".to_owned(),
            location: None,
            binding: DeviceBinding::new(DeviceClass::PersonalScanner, None, None).unwrap(),
            tags: BTreeMap::new(),
            pairing: PairingOffer {
                code_hash: PairingCodeHash::from_bytes(code),
                expires_at: OffsetDateTime::UNIX_EPOCH,
            },
        };
        let change = Change::new(OffsetDateTime::UNIX_EPOCH, Actor::System("test"), "req");
        store.create_device(change, device).await.unwrap();
    }
    store.close().await;
}

async fn revoke_all(platform: &Platform) -> Value {
    let body = json!({"confirm": "acme", "reason": "The contract has ended"});
    let job = platform.operator.post(REVOKE_ALL, body).await.expect(202);
    job["job_id"].clone()
}

#[tokio::test]
async fn a_job_goes_on_after_a_crash_and_revokes_each_device_once() {
    const DEVICES: usize = 400;
    let mut platform = Platform::start().await;
    register_many(&platform, DEVICES).await;
    let job = revoke_all(&platform).await;
    let path = format!("/v1/jobs/{}", text(&job));
    while platform.operator.get(&path).await.expect(200)["done"] == 0 {}
    platform.crash();
    let ended = platform.ended(&job).await;
    assert_eq!(
        (&ended["status"], &ended["done"]),
        (&json!("succeeded"), &json!(DEVICES))
    );
    let chain = Chain::Tenant("acme".parse().unwrap());
    let audit = platform.audit_of(&chain).await;
    let revoked = audit.iter().filter(|row| row.action == "device_revoked");
    let subjects: BTreeSet<_> = revoked.clone().map(|row| &row.subject).collect();
    assert_eq!((revoked.count(), subjects.len()), (DEVICES, DEVICES));
    let audit = platform.audit().await;
    let ends = audit
        .iter()
        .filter(|row| row.action == "device_certs_bulk_revoked");
    assert_eq!(ends.count(), 1);
}

#[tokio::test]
async fn a_device_whose_row_is_damaged_fails_alone() {
    let platform = Platform::start().await;
    register_many(&platform, 60).await;
    let damaged = "UPDATE devices SET tags = 'damaged' WHERE device_id = 'dev_0007'";
    platform.meddle(damaged).await;
    let job = revoke_all(&platform).await;
    let ended = platform.ended(&job).await;
    let counts = ["total", "done", "failed"].map(|name| ended[name].as_u64().unwrap());
    assert_eq!(
        (&ended["status"], counts),
        (&json!("partially_failed"), [60, 59, 1])
    );
    is_told(&platform, &job, "dev_0007").await;
}

/// The audit trail says at which device a job failed, and why.
async fn is_told(platform: &Platform, job: &Value, device_id: &str) {
    let audit = platform.audit().await;
    let failed = audit.iter().filter(|row| row.action == "job_device_failed");
    let failed: Vec<_> = failed.filter(|row| row.subject == text(job)).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0].metadata["device_id"], device_id);
    assert!(!text(&failed[0].metadata["reason"]).is_empty());
}

#[tokio::test]
async fn a_device_that_the_database_refuses_again_and_again_holds_up_no_job() {
    let platform = Platform::start().await;
    let other = platform.tenant("other").await;
    let stays = platform.scanner_of(&other).await;
    register_many(&platform, 60).await;
    let refused = "CREATE TRIGGER refused BEFORE UPDATE ON devices
                   WHEN NEW.device_id = 'dev_0007' AND NEW.status = 'revoked'
                   BEGIN SELECT RAISE(ABORT, 'refused'); END";
    platform.refuse(refused).await;
    let job = revoke_all(&platform).await;
    let body = json!({"confirm": "other", "reason": "The contract has ended"});
    let path = "/v1/admin/tenants/other/devices/revoke-all";
    let next = platform.operator.post(path, body).await.expect(202);
    let next = platform.ended(&next["job_id"]).await;
    assert_eq!(next["status"], "succeeded");
    assert!(platform.is_out(&stays, Version::TLS_1_3).await);
    let ended = platform.ended(&job).await;
    let counts = ["total", "done", "failed"].map(|name| ended[name].as_u64().unwrap());
    assert_eq!(
        (&ended["status"], counts),
        (&json!("partially_failed"), [60, 59, 1])
    );
    is_told(&platform, &job, "dev_0007").await;
}

#[tokio::test]
async fn a_job_whose_end_the_database_refuses_rests_and_ends_when_it_may() {
    let platform = Platform::start().await;
    register_many(&platform, 3).await;
    let refused = "CREATE TRIGGER refused BEFORE UPDATE ON jobs WHEN NEW.ended_at IS NOT NULL
                   BEGIN SELECT RAISE(ABORT, 'refused'); END";
    platform.refuse(refused).await;
    let job = revoke_all(&platform).await;
    platform
        .process
        .log_line("a job's end failed, and it rests");
    let path = format!("/v1/jobs/{}", text(&job));
    let waits = platform.operator.get(&path).await.expect(200);
    assert_eq!(
        (&waits["status"], &waits["done"]),
        (&json!("running"), &json!(3))
    );
    platform.refuse("DROP TRIGGER refused").await;
    let ended = platform.ended(&job).await;
    assert_eq!(
        (&ended["status"], &ended["done"]),
        (&json!("succeeded"), &json!(3))
    );
}
