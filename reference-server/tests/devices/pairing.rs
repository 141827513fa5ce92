use std::collections::BTreeSet;

use serde_json::json;

use crate::calls::answer;
use crate::platform::{Key, Platform, text};

#[tokio::test]
async fn a_scanner_pairs_and_is_known_by_its_certificate() {
    let platform = Platform::start().await;
    let (device_id, code) = platform.register().await;
    let key = Key::new();
    let typed = format!(" {}-{} ", code[..4].to_lowercase(), &code[4..]);
    let paired = platform.pair(&typed, &key.csr()).await.expect(200);
    assert_eq!(paired["device_id"], device_id.as_str());
    assert_eq!(paired["status"], "paired");
    assert!(text(&paired["certificate"]).ends_with("-----END CERTIFICATE-----\n"));
    assert!(text(&paired["renew_after"]) < text(&paired["expires_at"]));

    let certificate = text(&paired["certificate"]);
    let scanner = crate::platform::Scanner {
        device_id: device_id.clone(),
        certificate,
        key,
    };
    let own = platform
        .connect(&scanner, None)
        .get("/v1/devices/self")
        .await
        .expect(200);
    assert_eq!(own["device_id"], device_id.as_str());
    assert_eq!(
        (&own["status"], &own["connectivity"]),
        (&json!("paired"), &json!("online"))
    );
    assert_eq!(own["cert_state"], "ok");
    assert_eq!(
        own["device_info"]["mainboard"]["rev"], 2,
        "what it told is kept"
    );
    assert_eq!(own["expires_at"], paired["expires_at"]);
    let beat = json!({"firmware": "1.2", "client_time": "2020-01-01T00:00:00Z"});
    let pulse = platform
        .connect(&scanner, None)
        .post("/v1/device/heartbeat", beat)
        .await;
    assert!(pulse.expect(200)["clock_skew_ms"].as_i64().unwrap() < 0);
    let nobody = platform.nobody.get("/v1/devices/self").await;
    nobody.refused(401, "client_cert_required");
}

#[tokio::test]
async fn a_code_pairs_one_key_and_answers_that_key_again() {
    let platform = Platform::start().await;
    let (_, code) = platform.register().await;
    let (key, thief) = (Key::new(), Key::new());
    let first = platform.pair(&code, &key.csr()).await.expect(200);
    let again = platform.pair(&code, &key.csr()).await.expect(200);
    assert_eq!(again["certificate"], first["certificate"]);
    let refused = platform
        .pair(&code, &thief.csr())
        .await
        .refused(401, "pairing_code_invalid");
    for unknown in ["AAAAAAAAA", "", "not a code", &"9".repeat(500)] {
        let other = platform.pair(unknown, &thief.csr()).await;
        let other = other.refused(401, "pairing_code_invalid");
        assert_eq!(
            other["detail"], refused["detail"],
            "one body for every wrong code"
        );
    }
    let (_, next) = platform.register().await;
    let reused = platform
        .pair(&next, &key.csr())
        .await
        .refused(400, "csr_invalid");
    assert_eq!(reused["reason"], "key_reused");
    platform.pair(&next, &thief.csr()).await.expect(200);
}

#[tokio::test]
async fn a_bad_request_has_its_reason_and_leaves_the_code_usable() {
    let platform = Platform::start().await;
    let (_, code) = platform.register().await;
    let key = Key::new();
    let ca = key.csr_with(|p| p.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained));
    let named = key.csr_with(|p| {
        let name = "device.example".try_into().unwrap();
        p.subject_alt_names.push(rcgen::SanType::DnsName(name));
    });
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let mut forged = key.csr();
    let middle = forged.find("-----END").unwrap() - 20;
    let other = if &forged[middle..=middle] == "A" {
        "B"
    } else {
        "A"
    };
    forged.replace_range(middle..=middle, other);
    for (csr, error) in [
        ("", "csr_invalid"),
        ("AAAA", "csr_invalid"),
        (&*ca, "csr_invalid_extensions"),
        (&*named, "csr_invalid_extensions"),
        (&*Key(p384).csr(), "csr_invalid_algorithm"),
        (&*forged, "csr_signature_invalid"),
    ] {
        let problem = platform.pair(&code, csr).await.refused(400, error);
        assert!(problem["reason"].is_string(), "{problem}");
    }
    let huge =
        json!({"pairing_code": code, "csr": key.csr(), "device_info": {"x": "y".repeat(5000)}});
    let refused = platform.nobody.post("/v1/devices/pair", huge).await;
    assert_eq!(
        refused.refused(422, "validation_failed")["fields"][0]["path"],
        "device_info"
    );
    platform.pair(&code, &key.csr()).await.expect(200);
}

#[tokio::test]
async fn of_sixteen_that_share_a_code_one_is_paired() {
    let platform = Platform::start().await;
    let (device_id, code) = platform.register().await;
    let racers = (0..16).map(|_| {
        let body = json!({"pairing_code": code, "csr": Key::new().csr(), "device_info": {}});
        let request = platform
            .nobody
            .request(http::Method::POST, "/v1/devices/pair");
        tokio::spawn(answer(request.json(&body)))
    });
    let racers: Vec<_> = racers.collect();
    let mut certificates = BTreeSet::new();
    for racer in racers {
        let answer = racer.await.unwrap();
        if answer.status == 200 {
            certificates.insert(text(&answer.body["certificate"]));
        } else {
            answer.refused(401, "pairing_code_invalid");
        }
    }
    assert_eq!(certificates.len(), 1);
    let device = platform
        .admin
        .get(&format!("/v1/devices/{device_id}"))
        .await
        .expect(200);
    assert_eq!(device["status"], "paired");
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let platform = Platform::with_rate_limits().await;
    let (_, code) = platform.register().await;
    let key = Key::new();
    for _ in 0..5 {
        let wrong = platform.pair("AAAAAAAAA", &key.csr()).await;
        wrong.refused(401, "pairing_code_invalid");
    }
    let slowed = platform.pair(&code, &key.csr()).await;
    assert!(slowed.headers.contains_key("retry-after"));
    slowed.refused(429, "pairing_rate_limited");
}
