//! What other tools make when they are asked for a P-256 request, and what the gate says to it. The
//! files are their output as it came, with the tool's settings in the name.

#![cfg(feature = "x509")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // It is all test code.

mod support;

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use identity_pki::{CsrPolicy, CsrReason, ECDSA_P256_SHA256, ValidatedCsr};
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject as _;

fn code(verdict: Result<ValidatedCsr, CsrReason>) -> &'static str {
    verdict.map_or_else(|reason| reason.code(), |_| "accepted")
}

/// The request inside, whatever stands around it: tools also write `NEW CERTIFICATE REQUEST`, and
/// some print the request in words before it.
fn der_of(text: &str) -> Vec<u8> {
    let text = text.replace(" NEW ", " ");
    let der = CertificateSigningRequestDer::from_pem_slice(text.as_bytes());
    der.unwrap().to_vec()
}

/// The verdicts on the text, if it is one, and on the DER inside. What is refused, and why:
///
/// - `NEW CERTIFICATE REQUEST` (`certtool`, NSS, Java, `openssl -newhdr`) and words around the block: the
///   gate takes the one label of RFC 7468 §7 that its generators must write, and nothing beside it.
/// - keytool always asks for a subject key identifier, which is the CA's to choose.
/// - Mbed TLS 2.28 writes NULL parameters behind ecdsa-with-SHA256, which RFC 5758 §3.2 forbids.
/// - OpenSSL's section `v3_req` asks for key encipherment, which a signing key does not do.
#[rustfmt::skip]
const VERDICTS: [(&str, &str, &str); 23] = [
    ("botan-gen_pkcs10", "accepted", "accepted"),
    ("bouncycastle-builder", "", "accepted"),
    ("certtool-client-signing", "pem_label", "accepted"),
    ("certtool-template-cn", "pem_label", "accepted"),
    ("certutil-client", "pem_label", "accepted"),
    ("certutil-default", "pem_label", "accepted"),
    ("cfssl-genkey", "accepted", "accepted"),
    ("go-crypto-x509", "accepted", "accepted"),
    ("keytool-25-client", "pem_label", "extension_unknown"),
    ("keytool-25-default", "pem_label", "extension_unknown"),
    ("mbedtls-key-usage", "signature_algorithm", "signature_algorithm"),
    ("mbedtls-x509write_csr", "signature_algorithm", "signature_algorithm"),
    ("openssl-interactive-default-config", "accepted", "accepted"),
    ("openssl-newhdr", "pem_label", "accepted"),
    ("openssl-newkey-ec", "accepted", "accepted"),
    ("openssl-req-subj", "accepted", "accepted"),
    ("openssl-text-before", "pem_label", "accepted"),
    ("openssl-v3_req", "extension_key_usage", "extension_key_usage"),
    ("pyca-bc-false", "accepted", "accepted"),
    ("pyca-builder", "accepted", "accepted"),
    ("pyca-challenge", "accepted", "accepted"),
    ("pyca-ku-eku", "accepted", "accepted"),
    ("pyca-ski", "extension_unknown", "extension_unknown"),
];

#[test]
fn each_tool_gets_its_verdict() {
    let policy = CsrPolicy::new(ECDSA_P256_SHA256);
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/requests");
    let mut found = Vec::new();
    for file in support::files(&directory) {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let bytes = std::fs::read(&file).unwrap();
        match std::str::from_utf8(&bytes) {
            Ok(text) => {
                let of_der = code(policy.check_der(&der_of(text)));
                // The way out that the manual shows: base64 of the DER, whatever the label was.
                let base64 = BASE64_STANDARD.encode(der_of(text));
                assert_eq!(code(policy.check_text(&base64)), of_der, "{name}");
                found.push((name, code(policy.check_pem(text)), of_der));
            }
            Err(_) => found.push((name, "", code(policy.check_der(&bytes)))),
        }
    }
    let expected = VERDICTS.map(|(name, text, der)| (name.to_owned(), text, der));
    assert_eq!(found, expected);
}
