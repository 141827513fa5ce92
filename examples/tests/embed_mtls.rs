//! The example lets devices in by their certificate, and never again once it is revoked.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod program;

use std::process::Command;

use program::Program;
use reqwest::tls::Version;
use reqwest::{Certificate, Client, ClientBuilder, Identity, StatusCode};

#[tokio::test]
async fn a_device_is_known_by_its_certificate_until_that_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let trust = folder.path().join("server.pem");
    let mut service = Program::start(Command::new(env!("CARGO_BIN_EXE_embed_mtls")).arg(&trust));
    let pairing = service.word("https://");
    let base = pairing.trim_end_matches("pair/DEVICE");
    let root = Certificate::from_pem(&std::fs::read(&trust).unwrap()).unwrap();
    let client = || Client::builder().tls_certs_only([root.clone()]);
    let anonymous = client().build().unwrap();

    let answer = anonymous.get(base).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);

    let key = rcgen::KeyPair::generate().unwrap();
    let csr = rcgen::CertificateParams::default().serialize_request(&key);
    let answer = anonymous
        .post(pairing.replace("DEVICE", "dev_1"))
        .body(csr.unwrap().pem().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let certificate = answer.text().await.unwrap();

    let identity = Identity::from_pem(format!("{}{certificate}", key.serialize_pem()).as_bytes());
    let identity = identity.unwrap();
    let device = |limit: fn(ClientBuilder) -> ClientBuilder| {
        limit(client().identity(identity.clone())).build().unwrap()
    };
    let tls12 = |client: ClientBuilder| client.tls_version_max(Version::TLS_1_2);
    let tls13 = |client: ClientBuilder| client.tls_version_min(Version::TLS_1_3);
    let (on_tls12, on_tls13) = (device(tls12), device(tls13));
    for device in [&on_tls12, &on_tls13] {
        let greeting = device.get(base).send().await.unwrap().text().await.unwrap();
        assert_eq!(greeting, "hello urn:link:tenant:acme:device:dev_1\n");
    }

    // Both connections are alive: this one, and the other client's.
    let answer = on_tls13.post(format!("{base}revoke")).send().await.unwrap();
    assert_eq!(
        answer.text().await.unwrap(),
        "revoked; connections to close: 2\n"
    );
    for kept_alive in [&on_tls12, &on_tls13] {
        // Closed already, or about to be.
        if let Ok(answer) = kept_alive.get(base).send().await {
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        }
    }
    for new in [device(tls12), device(tls13)] {
        let refused = new.get(base).send().await;
        assert!(refused.is_err(), "no byte of HTTP: {refused:?}");
    }
    let answer = anonymous.get(base).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

#[test]
fn without_a_file_it_says_what_it_needs() {
    let program = Command::new(env!("CARGO_BIN_EXE_embed_mtls"))
        .output()
        .unwrap();
    assert!(!program.status.success());
    assert!(String::from_utf8_lossy(&program.stderr).contains("usage: embed_mtls FILE"));
}
