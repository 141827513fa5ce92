//! CAs that were made elsewhere.

use http::Method;
use identity_pki::CaCertificate;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::calls::{Answer, answer};
use crate::harness::{CaKey, DeviceKey, ServerKey};
use crate::platform::{Platform, text};

const CA: &str = "/v1/admin/ssl/ca-cert";

impl Platform {
    async fn upload(&self, parts: Vec<(&'static str, Vec<u8>)>) -> Answer {
        let parts = parts.into_iter();
        let form = parts.fold(Form::new(), |form, (name, bytes)| {
            form.part(name, Part::bytes(bytes))
        });
        let request = self.operator.request(Method::PUT, CA);
        answer(request.multipart(form)).await
    }

    pub(crate) async fn upload_ca(&self, ca: &CaKey) -> Answer {
        let (cert, key) = (ca.certificate_pem(), ca.key_pem());
        self.upload(vec![("cert", cert.into()), ("key", key.into())])
            .await
    }

    pub(crate) async fn ca(&self) -> Value {
        self.operator.get(CA).await.expect(200)
    }
}

#[tokio::test]
async fn a_ca_that_was_made_elsewhere_issues_from_its_upload_on() {
    let platform = Platform::start().await;
    let own = platform.ca().await;
    let earlier = platform.scanner().await;
    for ca in [
        CaKey::generate(),
        CaKey::of(
            KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap(),
            |_| {},
        ),
    ] {
        let uploaded = platform.upload_ca(&ca).await.expect(200);
        let certificate = CaCertificate::from_pem(&ca.certificate_pem()).unwrap();
        assert_eq!(uploaded["public_cert_pem"], certificate.pem());
        let shown = platform.ca().await;
        assert_eq!(shown["fingerprint"], uploaded["fingerprint"]);
        assert_eq!(shown["subject"], "CN=A CA of our own");
        let scanner = platform.scanner().await;
        for scanner in [&scanner, &earlier] {
            let connection = platform.connect(scanner, None);
            connection.get("/v1/devices/self").await.expect(200);
        }
        let again = platform.upload_ca(&ca).await.refused(409, "conflict");
        assert!(
            text(&again["detail"]).ends_with("is there already."),
            "{again}"
        );
    }
    let previous = &platform.ca().await["previous"][1];
    assert_eq!(previous["fingerprint"], own["fingerprint"]);
    assert_eq!(
        (&previous["state"], &previous["active_devices"]),
        (&json!("retiring"), &json!(1))
    );

    let prepared = CaKey::generate();
    let parts = [
        ("cert", prepared.certificate_pem()),
        ("key", prepared.key_pem()),
        ("activate", "false".to_owned()),
    ];
    let parts = parts.map(|(name, text)| (name, text.into_bytes()));
    let uploaded = platform.upload(parts.into()).await.expect(200);
    let shown = platform.ca().await;
    assert_eq!(shown["previous"][0]["fingerprint"], uploaded["fingerprint"]);
    assert_eq!(shown["previous"][0]["state"], "prepared");
    let audit = platform.audit().await;
    let rows = audit
        .iter()
        .filter(|row| row.action == "platform_ca_uploaded");
    assert_eq!(rows.count(), 3);
}

#[tokio::test]
async fn what_is_no_ca_of_ours_is_refused_and_changes_nothing() {
    let platform = Platform::start().await;
    let before = platform.ca().await;
    let good = CaKey::generate();
    let (cert, key) = (good.certificate_pem(), good.key_pem());
    let expired = CaKey::with(|params| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    });
    let to_come = CaKey::with(|params| params.not_before = rcgen::date_time_ymd(2200, 1, 1));
    let leaf = ServerKey::generate();
    let ed25519 = CaKey::of(KeyPair::generate_for(&PKCS_ED25519).unwrap(), |_| {});
    let for_servers = CaKey::with(|params: &mut CertificateParams| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let headers = "PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00";
    let encrypted_before = key.replacen("PRIVATE KEY-----", headers, 1);
    let twice = |text: &str| format!("{text}{text}");
    let damaged = {
        let mut der = CaCertificate::from_pem(&cert).unwrap().der().to_vec();
        // Of the signature.
        *der.last_mut().unwrap() ^= 1;
        CaCertificate::from_der(&der).unwrap().pem()
    };
    let large = "x".repeat(10 * 1024 * 1024);
    let other = CaKey::generate();
    let (c, k) = (&*cert, &*key);
    for (what, status, code, cert, key) in [
        ("no PEM", 400, "pem_invalid", "no PEM", k),
        ("empty", 400, "pem_invalid", "", k),
        ("two certificates", 400, "pem_invalid", &*twice(c), k),
        ("damaged", 422, "validation_failed", &*damaged, k),
        ("no key", 400, "pem_invalid", c, "no PEM"),
        ("an empty key", 400, "pem_invalid", c, ""),
        ("two keys", 400, "pem_invalid", c, &*twice(k)),
        ("an encrypted key", 400, "pem_invalid", c, &*encrypted),
        (
            "a key encrypted the old way",
            400,
            "pem_invalid",
            c,
            &*encrypted_before,
        ),
        ("a large key", 413, "payload_too_large", c, &*large),
        (
            "another CA's key",
            422,
            "cert_key_mismatch",
            c,
            &*other.key_pem(),
        ),
        (
            "a key of another kind",
            422,
            "weak_key",
            c,
            &*ed25519.key_pem(),
        ),
        (
            "both of another kind",
            422,
            "weak_key",
            &*ed25519.certificate_pem(),
            &*ed25519.key_pem(),
        ),
        (
            "expired",
            422,
            "cert_expired",
            &*expired.certificate_pem(),
            &*expired.key_pem(),
        ),
        (
            "to come",
            422,
            "cert_expired",
            &*to_come.certificate_pem(),
            &*to_come.key_pem(),
        ),
        (
            "a leaf",
            422,
            "validation_failed",
            &*leaf.chain_pem(),
            &*leaf.key_pem(),
        ),
        (
            "for servers",
            422,
            "validation_failed",
            &*for_servers.certificate_pem(),
            &*for_servers.key_pem(),
        ),
        ("large", 413, "payload_too_large", &*large, k),
    ] {
        let parts = vec![("cert", cert.into()), ("key", key.into())];
        let refused = platform.upload(parts).await;
        let shown = refused.body.to_string();
        assert!(!shown.contains("PRIVATE KEY"), "{what}: {shown}");
        let told = (refused.status, refused.body["error"].as_str());
        assert_eq!(told, (status, Some(code)), "{what}: {shown}");
    }
    let part = |name, text: &str| (name, text.as_bytes().to_vec());
    let (cert, key) = (part("cert", c), part("key", k));
    for parts in [
        vec![cert.clone()],
        vec![key.clone()],
        vec![cert.clone(), key.clone(), cert.clone()],
        vec![cert.clone(), key.clone(), part("chain", c)],
        vec![cert.clone(), key.clone(), part("activate", "perhaps")],
    ] {
        platform
            .upload(parts)
            .await
            .refused(422, "validation_failed");
    }
    for binary in [
        vec![("cert", vec![0xff, 0xfe, 0]), key],
        vec![cert, ("key", vec![0xff, 0xfe, 0])],
    ] {
        platform.upload(binary).await.refused(400, "pem_invalid");
    }
    let json = platform.operator.put(CA, json!({"cert": c})).await;
    json.refused(415, "unsupported_media_type");
    assert_eq!(platform.ca().await, before);
    platform.upload_ca(&good).await.expect(200);
}

#[tokio::test]
async fn of_two_uploads_at_once_one_issues_and_both_are_trusted() {
    let platform = Platform::start().await;
    let cas = [CaKey::generate(), CaKey::generate()];
    let [first, second] = &cas;
    let (first, second) = tokio::join!(platform.upload_ca(first), platform.upload_ca(second));
    let fingerprints = [first.expect(200), second.expect(200)].map(|it| it["fingerprint"].clone());
    let shown = platform.ca().await;
    assert!(fingerprints.contains(&shown["fingerprint"]), "{shown}");
    let previous = shown["previous"].as_array().unwrap();
    assert_eq!(previous.len(), 2);
    assert!(
        previous.iter().all(|ca| ca["state"] == "retiring"),
        "{shown}"
    );
}

#[tokio::test]
async fn of_two_certificates_for_one_key_at_once_one_becomes_a_ca() {
    let platform = Platform::start().await;
    for _ in 0..5 {
        let ca = CaKey::generate();
        let again = ca.again();
        let (one, other) = tokio::join!(platform.upload_ca(&ca), platform.upload_ca(&again));
        let (taken, refused) = if one.status == 200 {
            (one, other)
        } else {
            (other, one)
        };
        let fingerprint = taken.expect(200)["fingerprint"].clone();
        let refused = refused.refused(422, "validation_failed");
        assert_eq!(refused["reason"], "key_in_use", "{refused}");
        assert_eq!(platform.ca().await["fingerprint"], fingerprint);
    }
}

#[tokio::test]
async fn a_key_that_is_anothers_or_has_a_ca_is_no_cas_and_a_withdrawn_cas_is_nobodys() {
    let platform = Platform::start().await;
    let ca = CaKey::generate();
    let uploaded = platform.upload_ca(&ca).await.expect(200);
    let again = platform.upload_ca(&ca.again()).await;
    let again = again.refused(422, "validation_failed");
    assert_eq!(again["reason"], "key_in_use", "{again}");
    let confirm = json!({"confirm": uploaded["fingerprint"]});
    let regenerate = "/v1/admin/ssl/ca-cert/regenerate";
    platform
        .operator
        .post(regenerate, confirm)
        .await
        .expect(201);
    let path = format!(
        "/v1/admin/ssl/ca-certs/{}/retire",
        text(&uploaded["fingerprint"])
    );
    let csr = ca.csr();
    for state in ["tainted", "retired"] {
        let again = platform.upload_ca(&ca.again()).await;
        let again = again.refused(422, "validation_failed");
        assert_eq!(again["reason"], "key_in_use", "{again}");
        assert!(text(&again["detail"]).contains(state), "{again}");
        let (_, code) = platform.register().await;
        let refused = platform.pair(&code, &csr).await;
        assert_eq!(refused.status, 400, "{}", refused.body);
        if state == "tainted" {
            platform.operator.post(&path, json!({})).await.expect(200);
        }
    }
    // A device's.
    let (_, code) = platform.register().await;
    let key = DeviceKey::generate();
    platform.pair(&code, &key.csr()).await.expect(200);
    let ca = CaKey::of(KeyPair::from_pem(&key.pem()).unwrap(), |_| {});
    let refused = platform.upload_ca(&ca).await;
    let refused = refused.refused(422, "validation_failed");
    assert_eq!(refused["reason"], "key_in_use", "{refused}");
}
