//! The corpora of the fuzz targets, replayed, and the inputs in them that are to be accepted.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, unreachable_pub, reason = "it is the fuzz package's")]
#[path = "../../fuzz/src/platform.rs"]
mod platform;
#[allow(dead_code, unreachable_pub, reason = "it is the fuzz package's")]
#[path = "../../fuzz/src/unsigned.rs"]
mod unsigned;

use std::fs;
use std::path::{Path, PathBuf};

use identity_mtls::{Refusal, fuzzing};
use platform::PLATFORM;
use proptest::prelude::{ProptestConfig, any, prop, proptest};
use rustls::crypto::aws_lc_rs;

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let entries = fs::read_dir(corpora.join(target)).expect("a corpus");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let read = |file: PathBuf| {
        let name = file.file_name().expect("a name").to_string_lossy();
        (name.into_owned(), fs::read(&file).expect("an input"))
    };
    files.into_iter().map(read).collect()
}

#[test]
fn client_certificate() {
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
    let signed = fuzzing::Platform {
        trust: platform::trust(),
        now: PLATFORM.now,
        algorithms,
    };
    let mut accepted = Vec::new();
    for (name, input) in corpus("client_certificate") {
        if fuzzing::client_certificate(&input, &PLATFORM).is_ok() {
            accepted.push(name.clone());
        }
        // Nothing in the corpus is signed by the platform's keys.
        let refusal = fuzzing::client_certificate(&input, &signed).expect_err(&name);
        let forged = matches!(refusal, Refusal::BadSignature);
        assert_eq!(forged, accepted.contains(&name), "{name}: {refusal}");
    }
    let honest = [
        "alone",
        "with_its_ca",
        "with_key_identifier",
        "with_the_other_ca",
    ];
    assert_eq!(accepted, honest);
}

#[test]
fn denylist() {
    for (_, input) in corpus("denylist") {
        fuzzing::denylist(&input);
    }
}

#[test]
fn proxy_header() {
    let mut accepted = Vec::new();
    for (name, input) in corpus("proxy_header") {
        if fuzzing::proxy_header(&input).is_ok() {
            accepted.push(name);
        }
    }
    let headers = [
        "local_by_haproxy",
        "local_with_addresses",
        "local_with_what_is_no_address",
        "of_the_greatest_length",
        "tcp4_before_a_handshake",
        "tcp4_by_haproxy",
        "tcp6",
        "tcp6_of_an_ipv4_address",
        "with_alpn_and_unique_id",
        "with_an_empty_value",
    ];
    assert_eq!(accepted, headers);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_denylist_denies_what_its_model_denies(steps in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzzing::denylist(&steps);
    }
}
