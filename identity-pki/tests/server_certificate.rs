//! Server certificates as operators upload them, made by OpenSSL.

#![cfg(feature = "x509")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // It is all test code.

mod support;

use std::collections::BTreeSet;

use identity_pki::{
    Error, PemRule, ServerCertificate, ServerCertificateRule, ServerCertificateWarning,
};
use support::OpenSsl;
use time::Duration;

fn main() {
    support::run(
        support::tests![
            the_facts_are_those_that_openssl_prints,
            a_chain_keeps_its_order_whichever_way_it_comes,
            the_usual_kinds_of_key_are_named,
            every_rule_has_a_case,
            what_is_odd_is_taken_with_a_warning,
            text_between_the_certificates_is_skipped,
        ],
        OpenSsl::is_installed(),
        "openssl is not installed",
    );
}

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

fn every_rule_has_a_case() {
    let openssl = OpenSsl::new();
    let good = make(&openssl, "good", P256, &[NO_CA, NAMES]);
    let weak = make(
        &openssl,
        "weak",
        "RSA -pkeyopt rsa_keygen_bits:1024",
        &[NO_CA, NAMES],
    );
    let ed448 = make(&openssl, "ed448", "ED448", &[NO_CA, NAMES]);
    let koblitz = "EC -pkeyopt ec_paramgen_curve:secp256k1";
    let koblitz = make(&openssl, "koblitz", koblitz, &[NO_CA, NAMES]);
    let broken = good.replace("MII", "M!!");
    let empty = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let cases = [
        ("pem_label", rule("", None)),
        ("pem_label", rule(&good, Some("no certificate"))),
        ("pem_base64", rule(&broken, None)),
        ("pem_unterminated", rule(&good[..good.len() - 30], None)),
        ("pem_too_large", rule(&good.repeat(400), None)),
        ("too_many_certificates", rule(&good.repeat(11), None)),
        ("certificate", rule(empty, None)),
        ("certificate", rule(&good, Some(empty))),
        ("key_algorithm", rule(&koblitz, None)),
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

fn what_is_odd_is_taken_with_a_warning() {
    let openssl = OpenSsl::new();
    let warnings = |leaf: &str, chain: Option<&str>| {
        let facts = ServerCertificate::from_pem_chain(leaf, chain).unwrap();
        let codes = facts.warnings().iter().map(ServerCertificateWarning::code);
        codes.collect::<Vec<_>>()
    };
    let good = make(&openssl, "good", P256, &[NO_CA, NAMES]);
    let ca = make(&openssl, "ca", P256, &[NAMES]);
    let nameless = make(&openssl, "nameless", P256, &[NO_CA]);
    let mail = make(
        &openssl,
        "mail",
        P256,
        &[NO_CA, "subjectAltName=email:ops@example.com"],
    );
    openssl.line("req -x509 -new -key good.key -subj /CN=Other -out other.pem");
    let other = openssl.read("other.pem");
    assert_eq!(warnings(&good, Some(&ca)), [""; 0]);
    assert_eq!(warnings(&ca, None), ["is_ca"]);
    assert_eq!(warnings(&nameless, None), ["no_name"]);
    assert_eq!(warnings(&mail, None), ["no_name"]);
    assert_eq!(warnings(&good, Some(&other)), ["chain_order"]);
    assert_eq!(
        ServerCertificateWarning::codes().count(),
        3,
        "each has its case"
    );
}

fn text_between_the_certificates_is_skipped() {
    let openssl = OpenSsl::new();
    let leaf = make(&openssl, "leaf", P256, &[NO_CA, NAMES]);
    let bare = ServerCertificate::from_pem_chain(&leaf, None);
    let commented = format!("subject=CN = Server\nissuer=CN = CA\n{leaf}\n# end\n");
    assert_eq!(ServerCertificate::from_pem_chain(&commented, None), bare);
}
