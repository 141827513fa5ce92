use reqwest::tls::Version;
use serde_json::json;

use crate::platform::{Key, Platform, Scanner, text};

#[tokio::test]
async fn a_renewed_certificate_replaces_the_old_one_at_once() {
    let platform = Platform::start().await;
    let scanner = platform.scanner().await;
    let old = platform.connect(&scanner, None);
    let same_key = old
        .post("/v1/devices/renew", json!({"csr": scanner.key.csr()}))
        .await;
    same_key.refused(400, "csr_key_reused");
    old.post("/v1/devices/renew", json!({"csr": ""}))
        .await
        .refused(400, "csr_invalid");
    let next = Key::new();
    let renewed = old
        .post("/v1/devices/renew", json!({"csr": next.csr()}))
        .await
        .expect(200);
    let renewed = Scanner {
        device_id: scanner.device_id.clone(),
        certificate: text(&renewed["certificate"]),
        key: next,
    };
    assert_ne!(renewed.certificate, scanner.certificate);
    for version in [Version::TLS_1_2, Version::TLS_1_3] {
        assert!(platform.is_out(&scanner, version).await, "{version:?}");
        let own = platform
            .connect(&renewed, Some(version))
            .get("/v1/devices/self")
            .await;
        assert_eq!(own.expect(200)["device_id"], scanner.device_id.as_str());
    }
    let anonymous = platform.nobody.post("/v1/devices/renew", json!({})).await;
    anonymous.refused(401, "client_cert_required");
}

#[tokio::test]
async fn a_device_may_ask_for_its_own_name_and_for_no_other() {
    let platform = Platform::start().await;
    let scanner = platform.scanner().await;
    let ask = |device_id: &str| {
        let uri = format!("urn:link:tenant:acme:device:{device_id}");
        let key = Key::new();
        let csr = key.csr_with(|parameters| {
            let uri = uri.as_str().try_into().unwrap();
            parameters.subject_alt_names.push(rcgen::SanType::URI(uri));
        });
        json!({"csr": csr})
    };
    let device = platform.connect(&scanner, None);
    let other = device.post("/v1/devices/renew", ask("dev_other")).await;
    let other = other.refused(400, "csr_invalid_extensions");
    assert_eq!(other["reason"], "extension_other_identity");
    device
        .post("/v1/devices/renew", ask(&scanner.device_id))
        .await
        .expect(200);
}

#[tokio::test]
async fn of_parallel_renewals_one_wins() {
    let platform = Platform::start().await;
    let scanner = platform.scanner().await;
    let renewals = (0..8).map(|_| {
        let device = platform.connect(&scanner, None);
        let body = json!({"csr": Key::new().csr()});
        let request = device
            .request(http::Method::POST, "/v1/devices/renew")
            .json(&body);
        tokio::spawn(request.send())
    });
    let renewals: Vec<_> = renewals.collect();
    let mut winners = 0;
    for renewal in renewals {
        // A closed connection is a loser's answer too.
        let Ok(response) = renewal.await.unwrap() else {
            continue;
        };
        match response.status().as_u16() {
            200 => winners += 1,
            status => assert_eq!(status, 409),
        }
    }
    assert_eq!(winners, 1);
}

#[tokio::test]
async fn a_device_leaves_the_earlier_ca_by_renewing() {
    let platform = Platform::start().await;
    let scanner = platform.scanner().await;
    let generate = "/v1/admin/ssl/ca-cert/generate";
    let rotated = platform.operator.post(generate, json!({})).await;
    rotated.expect(201);
    let left = async || {
        let ca = platform.operator.get("/v1/admin/ssl/ca-cert").await;
        ca.expect(200)["previous"][0]["active_devices"].clone()
    };
    assert_eq!(left().await, 1);
    let csr = json!({"csr": Key::new().csr()});
    let device = platform.connect(&scanner, None);
    device.post("/v1/devices/renew", csr).await.expect(200);
    assert_eq!(left().await, 0);
}
