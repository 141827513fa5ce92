//! Test data of other projects, read from the folder that `IDENTITY_CORPUS` names. Without it these
//! tests report themselves as ignored, which is why they have a `main` of their own.

#![allow(clippy::panic, clippy::unwrap_used)] // It is all test code.

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;

use identity_pki::{CsrPolicy, CsrReason, ECDSA_P256_SHA256, fuzzing};
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;

fn main() {
    support::run(
        support::tests![
            wycheproof_agrees_with_the_proof,
            each_foreign_request_gets_its_verdict,
            each_foreign_extension_gets_its_verdict
        ],
        std::env::var_os("IDENTITY_CORPUS").is_some(),
        "IDENTITY_CORPUS is not set",
    );
}

fn corpus() -> PathBuf {
    std::env::var_os("IDENTITY_CORPUS").unwrap().into()
}

/// The ECDSA vectors of C2SP's wycheproof, through the verifier of the proof of possession.
fn wycheproof_agrees_with_the_proof() {
    let file = corpus().join("wycheproof/ecdsa_secp256r1_sha256_test.json");
    let vectors: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let hex = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
    let mut judged = 0;
    for group in vectors["testGroups"].as_array().unwrap() {
        let key = hex(&group["publicKey"]["uncompressed"]);
        for test in group["tests"].as_array().unwrap() {
            let (message, signature) = (hex(&test["msg"]), hex(&test["sig"]));
            let verdict = ECDSA_P256_SHA256.verify_signature(&key, &message, &signature);
            match test["result"].as_str().unwrap() {
                "valid" => assert!(verdict.is_ok(), "{test}"),
                "invalid" => assert!(verdict.is_err(), "{test}"),
                other => panic!("an unknown result {other:?}"),
            }
            judged += 1;
        }
    }
    assert_eq!(judged, vectors["numberOfTests"].as_u64().unwrap());
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

/// None is a device's: the keys are RSA or on P-384, and those on P-256 ask for more than
/// digitalSignature.
fn each_foreign_request_gets_its_verdict() {
    let verdicts = verdicts(|bytes| {
        let policy = CsrPolicy::new(ECDSA_P256_SHA256);
        policy.check_der(&der_of(bytes)).map(drop)
    });
    assert!(verdicts.len() > 50, "the corpus has lost its files");
    for (name, code) in &verdicts {
        let expected = match name.as_str() {
            name if name.contains("server5") => "extension_key_usage",
            "test-ca.req_ec.sha256" | "test-ca2.req.sha256" => "key_curve",
            _ if code.starts_with("der_") => continue,
            _ => "key_algorithm",
        };
        assert_eq!(code, expected, "{name}");
    }
}

/// With the check of the key left out, the requests that ask for nothing pass, and the malformed
/// and the greedy do not.
fn each_foreign_extension_gets_its_verdict() {
    let verdicts = verdicts(|bytes| fuzzing::csr_attributes(&der_of(bytes)));
    let asks_for_nothing = |name: &str| {
        let plain = name.starts_with("server1.req.") || name.starts_with("parse_input_server1");
        let kinds = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];
        (plain && kinds.iter().any(|kind| name.ends_with(kind)))
            || name.starts_with("test-ca")
            || ["cert_md5.csr", "server1.csr"].contains(&name)
    };
    for (name, code) in &verdicts {
        assert_eq!(code == "accepted", asks_for_nothing(name), "{name}: {code}");
    }
    for (name, code) in [
        ("all.csr", "extension_key_usage"),
        (
            "all_malformed_attributes_extension_request.csr",
            "attribute_unknown",
        ),
        (
            "all_malformed_duplicated_extension.csr",
            "extension_duplicate",
        ),
        ("all_malformed_extension_data_len1.csr", "der_truncated"),
        (
            "all_malformed_extension_type_oid.csr",
            "der_object_identifier",
        ),
        ("keyUsage.csr", "extension_key_usage"),
        ("nsCertType.csr", "extension_unknown"),
        ("subjectAltName.csr", "extension_subject_alt_name"),
    ] {
        let name = format!("parse_input_test_csr_v3_{name}.der");
        assert_eq!(verdicts[&name], code, "{name}");
    }
}
