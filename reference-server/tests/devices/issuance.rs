use serde_json::Value;

use crate::platform::{Key, Platform};

async fn listed(platform: &Platform, query: &str) -> Vec<Value> {
    let path = format!("/v1/admin/issuance?{query}");
    let page = platform.operator.get(&path).await.expect(200);
    page["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_ledger_tells_of_every_certificate() {
    let platform = Platform::start().await;
    let other = platform.tenant("other").await;
    let scanner = platform.scanner().await;
    let elsewhere = platform.scanner_of(&other).await;
    let csr = Key::new().csr();
    let renewing = platform.connect(&scanner, None);
    let renewal = serde_json::json!({"csr": csr});
    let renewed = renewing
        .post("/v1/devices/renew", renewal)
        .await
        .expect(200);

    let all = listed(&platform, "").await;
    let purposes: Vec<_> = all.iter().map(|row| &row["purpose"]).collect();
    assert_eq!(purposes, ["renewal", "pairing", "pairing"]);
    assert_eq!(all[0]["certificate"], renewed["certificate"]);
    assert_eq!(all[2]["certificate"], scanner.certificate.as_str());
    assert_eq!(all[1]["device_id"], elsewhere.device_id.as_str());
    assert_eq!(all[1]["tenant_id"], "other");
    for row in &all {
        assert_eq!(row["profile"], "device");
        assert_eq!(row["tbs_sha256"].as_str().unwrap().len(), 64);
        assert!(!row["request_id"].as_str().unwrap().is_empty());
    }
    let own = listed(&platform, &format!("device_id={}", scanner.device_id)).await;
    assert_eq!(own, [all[0].clone(), all[2].clone()]);
    let serial = all[1]["serial"].as_str().unwrap();
    let one = std::slice::from_ref(&all[1]);
    assert_eq!(listed(&platform, &format!("serial={serial}")).await, one);
    let shouted = serial.to_ascii_uppercase();
    assert_eq!(listed(&platform, &format!("serial={shouted}")).await, one);
    let of_another = format!("serial={serial}&device_id={}", scanner.device_id);
    assert!(listed(&platform, &of_another).await.is_empty());
    let unknown = "0".repeat(40);
    assert!(
        listed(&platform, &format!("serial={unknown}"))
            .await
            .is_empty()
    );
    for bad in ["serial=1", "device_id=A", "limit=201"] {
        let path = format!("/v1/admin/issuance?{bad}");
        let refused = platform.operator.get(&path).await;
        refused.refused(422, "validation_failed");
    }
}
