//! The corpora of the fuzz targets, replayed, and the inputs in them that are to be accepted.

#![cfg(feature = "x509")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // It is all test code.

mod support;

use std::path::Path;

use identity_pki::{CsrPolicy, DeviceIdentity, ECDSA_P256_SHA256, fuzzing};

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

#[test]
fn csr_der() {
    let accepted = replay("csr_der", fuzzing::csr_der, |input| {
        CsrPolicy::new(ECDSA_P256_SHA256).check_der(input).is_ok()
    });
    let honest = [
        "challenge_password",
        "empty_subject",
        "long_subject",
        "plain",
        "tolerated",
    ];
    assert_eq!(accepted, honest);
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
