//! Test data of other projects, read from the folder that `IDENTITY_CORPUS` names. Without it these
//! tests report themselves as ignored, which is why they have a `main` of their own.

#![allow(clippy::panic, clippy::unwrap_used)] // It is all test code.

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;

use identity_pki::{CsrPolicy, CsrReason, ECDSA_P256_SHA256, fuzzing};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateSigningRequestDer, SignatureVerificationAlgorithm};
use serde_json::Value;

fn main() {
    support::run(
        support::tests![
            wycheproof_agrees_with_the_proof_in_portable_rust,
            wycheproof_agrees_with_the_proof_by_aws_lc_rs,
            each_foreign_request_gets_its_verdicts,
        ],
        std::env::var_os("IDENTITY_CORPUS").is_some(),
        "IDENTITY_CORPUS is not set",
    );
}

fn corpus() -> PathBuf {
    std::env::var_os("IDENTITY_CORPUS").unwrap().into()
}

fn wycheproof_agrees_with_the_proof_in_portable_rust() {
    wycheproof_agrees_with(ECDSA_P256_SHA256);
}

/// The algorithm that the reference server passes to the gate.
fn wycheproof_agrees_with_the_proof_by_aws_lc_rs() {
    wycheproof_agrees_with(webpki::aws_lc_rs::ECDSA_P256_SHA256);
}

/// The ECDSA vectors of C2SP's wycheproof, every group of them, through the gate's check of the proof
/// of possession.
fn wycheproof_agrees_with(verifier: &dyn SignatureVerificationAlgorithm) {
    let file = corpus().join("wycheproof/ecdsa_secp256r1_sha256_test.json");
    let vectors: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let hex = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in vectors["testGroups"].as_array().unwrap() {
        assert_eq!(group["publicKey"]["curve"], "secp256r1");
        assert_eq!(group["sha"], "SHA-256");
        let key = hex(&group["publicKey"]["uncompressed"]);
        for test in group["tests"].as_array().unwrap() {
            let (message, signature) = (hex(&test["msg"]), hex(&test["sig"]));
            let verdict = fuzzing::proof_of_possession(&key, &message, &signature, verifier);
            let (count, is_expected) = match test["result"].as_str().unwrap() {
                "valid" => (&mut valid, verdict.is_ok()),
                "invalid" => (&mut invalid, verdict.is_err()),
                other => panic!("an unknown result {other:?}"),
            };
            assert!(is_expected, "{test}");
            *count += 1;
        }
    }
    assert_eq!(valid + invalid, vectors["numberOfTests"].as_u64().unwrap());
    assert!(valid > 100 && invalid > 100, "{valid} and {invalid}");
}

/// Mbed TLS's requests, each with the verdict of `judge`, given the DER or the PEM.
fn verdicts(judge: fn(&[u8]) -> Result<(), CsrReason>) -> BTreeMap<String, String> {
    let files = support::files(&corpus().join("csr")).into_iter();
    let requests = files.filter(|file| file.file_name().is_some_and(|name| name != "LICENSE"));
    requests
        .map(|file| {
            let verdict = judge(&std::fs::read(&file).unwrap());
            let code = verdict.err().map_or("accepted", |reason| reason.code());
            let name = file.file_name().unwrap().to_str().unwrap();
            (name.to_owned(), code.to_owned())
        })
        .collect()
}

/// The DER of a request that may be PEM, also under Microsoft's label.
fn der_of(bytes: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.starts_with("-----") => {
            let text = text.replace(" NEW ", " ");
            let der = CertificateSigningRequestDer::from_pem_slice(text.as_bytes());
            der.unwrap().to_vec()
        }
        _ => bytes.to_vec(),
    }
}

/// The verdicts of the whole gate, and of the walk over attributes and extensions alone. None is a
/// device's request: the keys are RSA or on P-384, and those on P-256 ask for more than
/// digitalSignature. With the key left out, those that ask for nothing pass, and the malformed and
/// the greedy do not.
fn each_foreign_request_gets_its_verdicts() {
    let whole = verdicts(|bytes| {
        let policy = CsrPolicy::new(ECDSA_P256_SHA256);
        policy.check_der(&der_of(bytes)).map(drop)
    });
    let attributes = verdicts(|bytes| fuzzing::csr_attributes(&der_of(bytes)));
    let lines: Vec<String> = whole
        .iter()
        .map(|(name, code)| format!("{name} {code} {}", attributes[name]))
        .collect();
    let expected: Vec<&str> = include_str!("data/foreign_requests.txt").lines().collect();
    assert_eq!(lines, expected, "{}", lines.join("\n"));
}
