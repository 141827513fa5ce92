//! Server certificates as operators upload them, made by OpenSSL.

#![cfg(feature = "x509")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // It is all test code.

mod support;

use std::collections::BTreeSet;

use identity_pki::{Error, PemRule, ServerCertificate, ServerCertificateRule};
use support::OpenSsl;
use time::Duration;

fn make(openssl: &OpenSsl, name: &str, key: &str, extensions: &[&str]) -> String {
    let (key_file, file) = (format!("{name}.key"), format!("{name}.pem"));
    openssl.run(format!("genpkey -out {key_file} -algorithm {key}").split(' '));
    let request = [
        "req",
        "-x509",
        "-new",
        "-key",
        &key_file,
        "-days",
        "30",
        "-subj",
        "/O=Example/CN=Server",
        "-out",
        &file,
    ];
    let added = extensions
        .iter()
        .flat_map(|extension| ["-addext", extension]);
    openssl.run(request.into_iter().chain(added));
    openssl.read(&file)
}

const P256: &str = "EC -pkeyopt ec_paramgen_curve:P-256";
const NO_CA: &str = "basicConstraints=critical,CA:FALSE";
const NAMES: &str = "subjectAltName=DNS:id.example.com,DNS:*.example.org,IP:192.0.2.7,IP:2001:db8::7,email:ops@example.com";

fn rule(leaf: &str, chain: Option<&str>) -> ServerCertificateRule {
    match ServerCertificate::from_pem_chain(leaf, chain) {
        Err(Error::ServerCertificate(rule)) => rule,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_facts_are_those_that_openssl_prints() {
    let openssl = OpenSsl::new();
    let pem = make(&openssl, "leaf", P256, &[NO_CA, NAMES]);
    let facts = ServerCertificate::from_pem_chain(&pem, None).unwrap();
    let names = [
        "id.example.com",
        "*.example.org",
        "192.0.2.7",
        "2001:db8::7",
    ];
    assert_eq!(facts.san(), names);
    assert_eq!(facts.subject(), "O=Example, CN=Server");
    assert_eq!(facts.issuer(), facts.subject());
    assert_eq!(facts.key_algorithm(), "ECDSA P-256");
    assert_eq!(facts.not_after() - facts.not_before(), Duration::days(30));
    let printed = openssl.line("x509 -in leaf.pem -noout -fingerprint -sha256");
    let printed = printed.replace(':', "").to_lowercase();
    assert!(
        printed.contains(&facts.fingerprint().to_string()),
        "{printed}"
    );
}

#[test]
fn a_chain_keeps_its_order_whichever_way_it_comes() {
    let openssl = OpenSsl::new();
    let leaf = make(&openssl, "leaf", P256, &[NO_CA, NAMES]);
    let first = make(&openssl, "first", P256, &[]);
    let second = make(&openssl, "second", P256, &[]);
    let in_one = ServerCertificate::from_pem_chain(&format!("{leaf}{first}{second}"), None);
    let in_two = ServerCertificate::from_pem_chain(&leaf, Some(&format!("{first}\n{second}")));
    assert_eq!(in_one, in_two);
    let in_one = in_one.unwrap();
    assert_eq!(in_one.chain_der().len(), 3);
    let blank = ServerCertificate::from_pem_chain(&leaf, Some(" \n")).unwrap();
    assert_eq!(blank.chain_der(), &in_one.chain_der()[..1]);
}

#[test]
fn the_usual_kinds_of_key_are_named() {
    let openssl = OpenSsl::new();
    for (key, name) in [
        ("EC -pkeyopt ec_paramgen_curve:P-384", "ECDSA P-384"),
        ("EC -pkeyopt ec_paramgen_curve:P-521", "ECDSA P-521"),
        ("RSA -pkeyopt rsa_keygen_bits:2048", "RSA 2048"),
        ("ED25519", "Ed25519"),
    ] {
        let pem = make(&openssl, "leaf", key, &[NO_CA, NAMES]);
        let facts = ServerCertificate::from_pem_chain(&pem, None).unwrap();
        assert_eq!(facts.key_algorithm(), name);
    }
}

#[test]
fn every_rule_has_a_case() {
    let openssl = OpenSsl::new();
    let good = make(&openssl, "good", P256, &[NO_CA, NAMES]);
    let ca = make(&openssl, "ca", P256, &[NAMES]);
    let nameless = make(&openssl, "nameless", P256, &[NO_CA]);
    let mail = make(
        &openssl,
        "mail",
        P256,
        &[NO_CA, "subjectAltName=email:ops@example.com"],
    );
    let weak = make(
        &openssl,
        "weak",
        "RSA -pkeyopt rsa_keygen_bits:1024",
        &[NO_CA, NAMES],
    );
    let ed448 = make(&openssl, "ed448", "ED448", &[NO_CA, NAMES]);
    let empty = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let cases = [
        ("pem_label", rule("", None)),
        ("pem_label", rule(&good, Some("no certificate"))),
        ("too_many_certificates", rule(&good.repeat(11), None)),
        ("certificate", rule(empty, None)),
        ("certificate", rule(&good, Some(empty))),
        ("is_ca", rule(&ca, None)),
        ("no_name", rule(&nameless, None)),
        ("no_name", rule(&mail, None)),
        ("weak_key", rule(&weak, None)),
        ("key_algorithm", rule(&ed448, None)),
    ];
    for (code, rule) in &cases {
        assert_eq!(rule.code(), *code, "{rule}");
    }
    let covered: BTreeSet<&str> = cases.iter().map(|(code, _)| *code).collect();
    let nested: BTreeSet<&str> = PemRule::codes().collect();
    let known: BTreeSet<&str> = ServerCertificateRule::codes().collect();
    assert!(
        known.difference(&covered).all(|code| nested.contains(code)),
        "{covered:?}"
    );
}
