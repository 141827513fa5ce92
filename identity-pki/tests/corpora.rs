//! The corpora of the fuzz targets, replayed, and the inputs in them that are to be accepted.

#![cfg(all(feature = "pairing-code", feature = "x509"))]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // It is all test code.

#[allow(dead_code, unreachable_pub, reason = "it is the fuzz package's")]
#[path = "../../fuzz/src/differential.rs"]
mod differential;
mod support;
#[allow(dead_code, unreachable_pub, reason = "it is the fuzz package's")]
#[path = "../../fuzz/src/unsigned.rs"]
mod unsigned;

use std::path::Path;

use identity_pki::{
    CaCertificate, CsrPolicy, DeviceIdentity, ECDSA_P256_SHA256, PairingCode, ServerCertificate,
    fuzzing,
};

/// Feeds a target's corpus to its entry point, and answers the names of what `accepts` accepts.
fn replay(target: &str, entry: fn(&[u8]), accepts: fn(&[u8]) -> bool) -> Vec<String> {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let mut accepted = Vec::new();
    for file in support::files(&corpora.join(target)) {
        let input = std::fs::read(&file).unwrap();
        entry(&input);
        if accepts(&input) {
            accepted.push(file.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    accepted
}

fn text(input: &[u8]) -> &str {
    std::str::from_utf8(input).unwrap()
}

const HONEST_REQUESTS: [&str; 5] = [
    "challenge_password",
    "empty_subject",
    "long_subject",
    "plain",
    "tolerated",
];

#[test]
fn csr_der() {
    let accepted = replay("csr_der", fuzzing::csr_der, |input| {
        CsrPolicy::new(ECDSA_P256_SHA256).check_der(input).is_ok()
    });
    assert_eq!(accepted, HONEST_REQUESTS);
}

/// It has the corpus of `csr_der`, since what the gate refuses for its signature is of use here.
#[test]
fn csr_differential() {
    let entry = |input: &[u8]| drop(differential::csr_differential(input));
    let accepted = replay("csr_der", entry, |input| {
        differential::csr_differential(input).is_ok()
    });
    assert_eq!(accepted, HONEST_REQUESTS);
}

#[test]
fn csr_pem() {
    let accepted = replay("csr_pem", fuzzing::csr_pem, |input| {
        CsrPolicy::new(ECDSA_P256_SHA256)
            .check_pem(text(input))
            .is_ok()
    });
    assert_eq!(
        accepted,
        ["crlf", "no_newline", "one_line", "plain", "wide"]
    );
}

#[test]
fn device_san_uri() {
    let accepted = replay("device_san_uri", fuzzing::device_san_uri, |input| {
        DeviceIdentity::from_san_uri(text(input)).is_ok()
    });
    assert_eq!(
        accepted,
        ["longest", "plain", "shortest", "tenant_named_device"]
    );
}

#[test]
fn ca_upload() {
    let accepted = replay("ca_upload", fuzzing::ca_upload, |input| {
        let text = std::str::from_utf8(input).map(CaCertificate::from_pem);
        CaCertificate::from_der(input).is_ok() || matches!(text, Ok(Ok(_)))
    });
    // How a trust anchor is signed itself is not asked.
    let honest = [
        "p256_with_sha384",
        "p384",
        "p384_with_sha256",
        "path_length",
        "pem",
        "pem_crlf",
        "self_signed",
    ];
    assert_eq!(accepted, honest);
}

#[test]
fn server_certificate() {
    let accepted = replay("server_certificate", fuzzing::server_certificate, |input| {
        ServerCertificate::from_pem_chain(text(input), None).is_ok()
    });
    let usable = [
        "chain_out_of_order",
        "crlf",
        "ed25519",
        "no_host",
        "p256",
        "p521",
        "rsa_2048",
        "text_between",
    ];
    assert_eq!(accepted, usable);
}

#[test]
fn pairing_code() {
    let accepted = replay("pairing_code", fuzzing::pairing_code, |input| {
        std::str::from_utf8(input).is_ok_and(|typed| PairingCode::parse(typed).is_ok())
    });
    let codes = ["canonical", "letter_by_letter", "lower_case", "spaced_out"];
    assert_eq!(accepted, codes);
}
