//! The example signs what it should and refuses the rest.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod program;

use std::process::Command;

use program::Program;
use reqwest::{Client, StatusCode};

fn csr(extra: impl FnOnce(&mut rcgen::CertificateParams)) -> String {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = rcgen::CertificateParams::default();
    extra(&mut params);
    params.serialize_request(&key).unwrap().pem().unwrap()
}

#[tokio::test]
async fn a_csr_becomes_a_certificate_and_a_greedy_one_does_not() {
    let mut service = Program::start(&mut Command::new(env!("CARGO_BIN_EXE_embed_csr_gate")));
    let url = service
        .word("http://")
        .replace("TENANT/DEVICE", "acme/dev_1");
    let ask = |csr: String| async {
        let answer = Client::new().post(&url).body(csr).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    let (status, certificate) = ask(csr(|_| {})).await;
    assert_eq!(status, StatusCode::OK, "{certificate}");
    assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----\n"));

    let greedy = csr(|params| {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    });
    let (status, reason) = ask(greedy).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{reason}");
    assert!(
        reason.contains("CA"),
        "the refusal names the rule: {reason}"
    );
}
