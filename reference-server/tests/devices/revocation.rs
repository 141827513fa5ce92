use reqwest::tls::Version;
use serde_json::json;

use crate::platform::{Key, Platform};

#[tokio::test]
async fn a_revoked_device_is_out_on_new_and_open_connections() {
    let platform = Platform::start().await;
    let scanner = platform.scanner().await;
    let versions = [Version::TLS_1_2, Version::TLS_1_3];
    let open = versions.map(|version| platform.connect(&scanner, Some(version)));
    for connection in &open {
        connection.get("/v1/devices/self").await.expect(200);
    }
    let path = format!("/v1/devices/{}", scanner.device_id);
    let gone = platform.admin.delete(&path).await.expect(200);
    assert_eq!(
        (&gone["status"], &gone["connections_closed"]),
        (&json!("revoked"), &json!(2))
    );
    assert!(gone["revoked_at"].is_string() && gone["revoked_by"].is_string());
    for (connection, path) in open
        .iter()
        .zip(["/v1/devices/self", "/v1/challenges/pending"])
    {
        let request = connection.request(http::Method::GET, path);
        if let Ok(response) = request.send().await {
            assert_eq!(
                response.status(),
                401,
                "a request that overtook the closing"
            );
        }
    }
    for version in versions {
        assert!(platform.is_out(&scanner, version).await, "{version:?}");
    }
    let again = platform.admin.delete(&path).await.expect(200);
    assert_eq!(again["revoked_at"], gone["revoked_at"], "once is enough");
}

#[tokio::test]
async fn a_new_code_for_a_paired_device_denies_its_certificate() {
    let platform = Platform::start().await;
    let scanner = platform.scanner().await;
    let path = format!("/v1/devices/{}/pairing-code", scanner.device_id);
    let paired = platform.admin.post(&path, json!({})).await;
    paired.refused(409, "device_already_paired");
    let issued = platform
        .admin
        .post(&path, json!({"replace": true}))
        .await
        .expect(201);
    assert!(platform.is_out(&scanner, Version::TLS_1_3).await);
    let code = issued["pairing_code"].as_str().unwrap();
    let again = platform.pair(code, &Key::new().csr()).await.expect(200);
    assert_eq!(again["device_id"], scanner.device_id.as_str());
}
