use std::time::{Duration, Instant};

use identity_store::{Chain, Severity};
use reqwest::tls::Version;
use serde_json::json;

use crate::platform::{Key, Platform, Scanner, text};

const RENEW: &str = "/v1/devices/renew";
/// So long what comes about by itself may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn with_grace(seconds: u32) -> Platform {
    let platform = Platform::start().await;
    let path = "/v1/admin/tenants/acme/config";
    let mut config = platform.operator.get(path).await.expect(200);
    config["renewal_grace_seconds"] = json!(seconds);
    platform.operator.put(path, config).await.expect(200);
    platform
}

/// The scanner with its next certificate.
async fn renewed(platform: &Platform, scanner: &Scanner) -> Scanner {
    let key = Key::new();
    let renewal = json!({"csr": key.csr()});
    let device = platform.connect(scanner, None);
    let renewed = device.post(RENEW, renewal).await.expect(200);
    Scanner {
        device_id: scanner.device_id.clone(),
        certificate: text(&renewed["certificate"]),
        key,
    }
}

#[tokio::test]
async fn in_its_grace_a_superseded_certificate_repeats_its_renewal_and_does_nothing_else() {
    let platform = with_grace(3600).await;
    let old = platform.scanner().await;
    let new = renewed(&platform, &old).await;
    for version in [Version::TLS_1_2, Version::TLS_1_3] {
        let device = platform.connect(&old, Some(version));
        let again = json!({"csr": new.key.csr()});
        let again = device.post(RENEW, again).await.expect(200);
        assert_eq!(again["certificate"], new.certificate.as_str());
        let device = platform.connect(&old, Some(version));
        let other = json!({"csr": Key::new().csr()});
        device
            .post(RENEW, other)
            .await
            .refused(409, "renewal_conflict");
        let own = json!({"csr": old.key.csr()});
        device
            .post(RENEW, own)
            .await
            .refused(409, "renewal_conflict");
        for path in ["/v1/devices/self", "/v1/challenges/pending"] {
            device.get(path).await.refused(401, "device_not_paired");
        }
        let heartbeat = device.post("/v1/device/heartbeat", json!({})).await;
        heartbeat.refused(401, "device_not_paired");
    }
    let rows = platform
        .audit_of(&Chain::Tenant("acme".parse().unwrap()))
        .await;
    let alarms = rows
        .iter()
        .filter(|row| row.action == "superseded_certificate_used");
    assert_eq!(alarms.count(), 4, "each time that it came with another key");
    let waiting = platform.connect(&old, None);
    waiting
        .post(RENEW, json!({"csr": new.key.csr()}))
        .await
        .expect(200);
    let device = platform.connect(&new, None);
    device.get("/v1/challenges/pending").await.expect(200);
    for version in [Version::TLS_1_2, Version::TLS_1_3] {
        assert!(platform.is_out(&old, version).await, "the new one was used");
    }
}

#[tokio::test]
async fn a_superseded_certificate_that_comes_behind_its_grace_is_an_alarm() {
    let platform = with_grace(3600).await;
    let old = platform.scanner().await;
    let new = renewed(&platform, &old).await;
    let alarms = async || {
        let chain = Chain::Tenant("acme".parse().unwrap());
        let mut rows = platform.audit_of(&chain).await;
        rows.retain(|row| row.action == "superseded_certificate_used");
        rows
    };
    let own = platform.connect(&new, None).get("/v1/devices/self").await;
    own.expect(200);
    assert_eq!(alarms().await.len(), 0, "nobody came with it yet");
    assert!(platform.is_out(&old, Version::TLS_1_3).await);
    let start = Instant::now();
    let alarm = loop {
        if let Some(alarm) = alarms().await.pop() {
            break alarm;
        }
        assert!(start.elapsed() < PATIENCE, "it is silent");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(alarm.severity, Severity::High);
    assert_eq!(alarm.metadata["device_id"], old.device_id.as_str());
}

#[tokio::test]
async fn a_grace_is_over_by_itself_and_with_a_revocation() {
    let platform = with_grace(1).await;
    let old = platform.scanner().await;
    let new = renewed(&platform, &old).await;
    let start = Instant::now();
    while !platform.is_out(&old, Version::TLS_1_3).await {
        assert!(start.elapsed() < PATIENCE, "it is not over");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let own = platform.connect(&new, None).get("/v1/devices/self").await;
    own.expect(200);

    let platform = with_grace(3600).await;
    let old = platform.scanner().await;
    let new = renewed(&platform, &old).await;
    let path = format!("/v1/devices/{}", old.device_id);
    platform.admin.delete(&path).await.expect(200);
    for scanner in [&old, &new] {
        assert!(platform.is_out(scanner, Version::TLS_1_3).await);
    }
}
