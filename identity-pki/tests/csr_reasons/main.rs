//! Every reason for which the gate refuses a request has a case here, and each case is refused for
//! that reason alone: the request is otherwise honest and properly signed.

#![cfg(feature = "x509")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // It is all test code.

mod encodings;
mod extensions;
mod hostile;
mod keys;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;

use identity_pki::{CsrCategory, CsrPolicy, CsrReason, ECDSA_P256_SHA256};
use support::der::{
    BASIC_CONSTRAINTS, DIGITAL_SIGNATURE, EXT_KEY_USAGE, KEY_USAGE, SUBJECT_ALT_NAME, client_auth,
    extension, san_uri, seq, tlv,
};
use support::request::Request;

/// A request, what is wrong with it, and the kind of refusal.
struct Case {
    code: &'static str,
    category: CsrCategory,
    verdict: Result<(), CsrReason>,
}

/// The code that is expected, and the verdict.
type Refusal = (&'static str, Result<(), CsrReason>);

fn check(der: &[u8]) -> Result<(), CsrReason> {
    CsrPolicy::new(ECDSA_P256_SHA256).check_der(der).map(drop)
}

fn check_pem(text: &str) -> Result<(), CsrReason> {
    CsrPolicy::new(ECDSA_P256_SHA256).check_pem(text).map(drop)
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |category, found: Vec<Refusal>| {
        cases.extend(found.into_iter().map(|(code, verdict)| Case {
            code,
            category,
            verdict,
        }));
    };
    add(CsrCategory::Malformed, encodings::texts());
    add(CsrCategory::Malformed, encodings::encodings());
    add(CsrCategory::Malformed, hostile::texts());
    add(CsrCategory::Malformed, hostile::forms());
    add(CsrCategory::Malformed, hostile::key_forms());
    add(CsrCategory::Malformed, vec![refused_key()]);
    add(CsrCategory::Algorithm, keys::keys());
    add(CsrCategory::Algorithm, keys::signature_algorithms());
    add(CsrCategory::Algorithm, hostile::keys());
    add(CsrCategory::Algorithm, hostile::signature_algorithms());
    add(CsrCategory::Extensions, extensions::attributes());
    add(CsrCategory::Extensions, extensions::extensions());
    add(CsrCategory::Extensions, hostile::extensions());
    add(CsrCategory::Signature, keys::signatures());
    cases
}

fn refused_key() -> Refusal {
    let csr = support::csr();
    let keys = [csr.spki_sha256()];
    let policy = CsrPolicy::new(ECDSA_P256_SHA256).refuse_keys(&keys);
    ("key_refused", policy.check_pem(support::CSR_PEM).map(drop))
}

/// Whether the message names the clause that the rule comes from, or owns up to it.
fn tells_its_source(reason: &CsrReason) -> bool {
    let message = reason.to_string();
    ["RFC ", "X.680 §", "X.690 §", "SEC 1 §"]
        .iter()
        .any(|standard| message.contains(standard))
        || message.contains("this crate's limit of")
        || message.contains("own rule")
}

#[test]
fn each_case_is_refused_for_its_reason() {
    for case in cases() {
        let reason = case.verdict.expect_err(case.code);
        assert_eq!(reason.code(), case.code, "{reason}");
        assert_eq!(reason.category(), case.category, "{reason}");
        assert!(tells_its_source(&reason), "{reason}");
    }
}

#[test]
fn every_reason_has_a_case_and_a_code_of_its_own() {
    let covered: BTreeSet<&str> = cases().iter().map(|case| case.code).collect();
    let codes: Vec<&str> = CsrReason::codes().collect();
    let known: BTreeSet<&str> = codes.iter().copied().collect();
    assert_eq!(covered, known);
    assert_eq!(codes.len(), known.len(), "a code is used twice");
}

#[test]
fn what_honest_devices_send_passes() {
    let accepted = |request: &Request| {
        let csr = CsrPolicy::new(ECDSA_P256_SHA256).check_der(&request.der());
        assert_eq!(csr.unwrap().spki_der(), request.spki);
    };
    accepted(&Request::new());
    accepted(&Request::new().with(|r| r.subject = seq(&[])));
    let text = tlv(0x0c, &[b"hunter2"]);
    accepted(&Request::new().with_attribute("1.2.840.113549.1.9.7", &[&text]));
    accepted(&Request::new().with_attribute("1.2.840.113549.1.9.2", &[&text]));
    for critical in [false, true] {
        accepted(
            &Request::new()
                .with_attribute("1.2.840.113549.1.9.7", &[&text])
                .with_extensions(&[
                    &extension(BASIC_CONSTRAINTS, critical, &seq(&[])),
                    &extension(KEY_USAGE, critical, &DIGITAL_SIGNATURE),
                    &extension(EXT_KEY_USAGE, critical, &client_auth()),
                ]),
        );
    }
}

#[test]
fn the_identity_about_to_be_issued_may_be_asked_for() {
    let identity = support::identity();
    let san = extension(SUBJECT_ALT_NAME, false, &san_uri(&identity.san_uri()));
    let request = Request::new().with_extensions(&[&san]);
    let policy = CsrPolicy::new(ECDSA_P256_SHA256);
    assert!(policy.check_der(&request.der()).is_err());
    assert!(
        policy
            .expect_identity(&identity)
            .check_der(&request.der())
            .is_ok()
    );
}

#[test]
fn the_challenge_password_is_in_no_message() {
    let text = tlv(0x0c, &[b"hunter2"]);
    let request =
        Request::new().with_attribute("1.2.840.113549.1.9.7", &[&text, &tlv(0x0c, &[b"hunter3"])]);
    let reason = check(&request.der()).unwrap_err();
    assert!(!format!("{reason} {reason:?}").contains("hunter"));
}

#[test]
fn text_may_be_pem_or_bare_base64_in_lines_of_any_length() {
    let policy = CsrPolicy::new(ECDSA_P256_SHA256);
    let key = support::csr();
    let lines: Vec<&str> = support::CSR_PEM.lines().collect();
    let base64 = lines[1..lines.len() - 1].concat();
    let (begin, end) = (lines[0], lines[lines.len() - 1]);
    for text in [
        support::CSR_PEM.to_owned(),
        support::CSR_PEM.replace('\n', "\r\n"),
        format!("\n\n{begin}\n{base64}\n{end}"),
        format!("{begin}\n{}\n{}\n{end}\n", &base64[..76], &base64[76..]),
    ] {
        assert_eq!(policy.check_pem(&text).as_ref(), Ok(&key), "{text}");
        assert_eq!(policy.check_text(&text).as_ref(), Ok(&key), "{text}");
    }
    assert_eq!(policy.check_text(&base64).as_ref(), Ok(&key));
    assert_eq!(
        policy.check_text(&format!("{base64}=")).unwrap_err().code(),
        "pem_base64"
    );
    assert_eq!(policy.check_pem(&base64).unwrap_err().code(), "pem_label");
}
