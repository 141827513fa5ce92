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
            a_chain_is_put_in_order_and_its_root_left_out,
            what_does_not_belong_to_the_chain_is_refused,
            a_signature_that_nobody_knows_is_not_judged,
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
    let ca = make(&openssl, "ca", P256, &[NAMES]);
    let unfit = |pem: &str| match arranged(pem) {
        Err(Error::ServerCertificate(rule)) => rule,
        other => panic!("{other:?}"),
    };
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
        ("duplicate", unfit(&good.repeat(2))),
        ("unrelated", unfit(&format!("{good}{ca}"))),
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
    assert_eq!(warnings(&good, Some(&ca)), [""; 0]);
    assert_eq!(warnings(&ca, None), ["is_ca"]);
    assert_eq!(warnings(&nameless, None), ["no_name"]);
    assert_eq!(warnings(&mail, None), ["no_name"]);
    for (usage, warned) in [
        ("clientAuth", &["not_for_servers"][..]),
        ("clientAuth,serverAuth", &[]),
        ("anyExtendedKeyUsage", &[]),
    ] {
        let usage_extension = format!("extendedKeyUsage={usage}");
        let used = make(&openssl, "used", P256, &[NO_CA, NAMES, &usage_extension]);
        assert_eq!(warnings(&used, None), warned, "{usage}");
    }
}

/// A root, an intermediate and a leaf of one kind of key, and another of each with the same names.
fn chain(openssl: &OpenSsl, key: &str) -> [String; 3] {
    make(openssl, "root", key, &["keyUsage=keyCertSign"]);
    for (name, issuer, extension) in [
        ("intermediate", "root", "basicConstraints=critical,CA:TRUE"),
        ("leaf", "intermediate", "subjectAltName=DNS:id.example.com"),
    ] {
        openssl.run(format!("genpkey -out {name}.key -algorithm {key}").split(' '));
        openssl.write("extensions", extension);
        openssl.line(&format!(
            "req -new -key {name}.key -subj /CN={name} -out {name}.csr"
        ));
        openssl.line(&format!(
            "x509 -req -in {name}.csr -CA {issuer}.pem -CAkey {issuer}.key -days 30 -extfile extensions \
             -out {name}.pem"
        ));
    }
    ["leaf.pem", "intermediate.pem", "root.pem"].map(|file| openssl.read(file))
}

fn arranged(pem: &str) -> Result<ServerCertificate, Error> {
    ServerCertificate::from_pem_chain(pem, None)?.arranged(webpki::ALL_VERIFICATION_ALGS)
}

fn codes(certificate: &ServerCertificate) -> Vec<&'static str> {
    let warnings = certificate.warnings().iter();
    warnings.map(ServerCertificateWarning::code).collect()
}

fn a_chain_is_put_in_order_and_its_root_left_out() {
    for key in [P256, "RSA -pkeyopt rsa_keygen_bits:2048"] {
        let openssl = OpenSsl::new();
        let [leaf, intermediate, root] = &chain(&openssl, key);
        let sent = format!("{leaf}{intermediate}");
        let both = ["reordered", "root_left_out"];
        for (given, warned) in [
            ([leaf, intermediate, &String::new()], &[][..]),
            ([intermediate, leaf, &String::new()], &both[..1]),
            ([leaf, intermediate, root], &both[1..]),
            ([root, intermediate, leaf], &both),
            ([leaf, root, intermediate], &both),
            ([intermediate, root, leaf], &both),
        ] {
            let certificate = arranged(&given.map(String::as_str).concat()).unwrap();
            assert_eq!(certificate.chain_pem(), sent);
            assert_eq!(certificate.subject(), "CN=leaf");
            assert_eq!(codes(&certificate), warned);
        }
        // One that is its own root is sent.
        let alone = arranged(root).unwrap();
        assert_eq!(alone.chain_pem(), *root);
        assert_eq!(codes(&alone), ["no_name", "is_ca"]);
    }
}

fn what_does_not_belong_to_the_chain_is_refused() {
    let (ours, others) = (OpenSsl::new(), OpenSsl::new());
    let [leaf, intermediate, root] = &chain(&ours, P256);
    let [other_leaf, other_intermediate, other_root] = &chain(&others, P256);
    let refused =
        |pem: &[&String]| match arranged(&pem.iter().map(|it| it.as_str()).collect::<String>()) {
            Err(Error::ServerCertificate(rule)) => rule,
            other => panic!("{other:?}"),
        };
    let duplicate = |position, first| ServerCertificateRule::Duplicate { position, first };
    let unrelated = |position, subject: &str| ServerCertificateRule::Unrelated {
        position,
        subject: subject.to_owned(),
    };
    assert_eq!(refused(&[leaf, leaf]), duplicate(1, 0));
    assert_eq!(
        refused(&[leaf, intermediate, root, intermediate]),
        duplicate(3, 1)
    );
    // The names are the same, the keys are not.
    assert_eq!(
        refused(&[leaf, other_intermediate]),
        unrelated(1, "CN=intermediate")
    );
    assert_eq!(
        refused(&[leaf, intermediate, other_root]),
        unrelated(2, "O=Example, CN=Server")
    );
    assert_eq!(
        refused(&[leaf, intermediate, other_leaf]),
        unrelated(2, "CN=leaf")
    );
    // There is a gap.
    assert_eq!(refused(&[leaf, root]), unrelated(1, "O=Example, CN=Server"));
}

fn a_signature_that_nobody_knows_is_not_judged() {
    let openssl = OpenSsl::new();
    let [leaf, intermediate, _] = &chain(&openssl, P256);
    let swapped = ServerCertificate::from_pem_chain(&format!("{intermediate}{leaf}"), None);
    let certificate = swapped.unwrap().arranged(&[]).unwrap();
    assert_eq!(certificate.chain_pem(), format!("{leaf}{intermediate}"));
}

fn text_between_the_certificates_is_skipped() {
    let openssl = OpenSsl::new();
    let leaf = make(&openssl, "leaf", P256, &[NO_CA, NAMES]);
    let bare = ServerCertificate::from_pem_chain(&leaf, None);
    let commented = format!("subject=CN = Server\nissuer=CN = CA\n{leaf}\n# end\n");
    assert_eq!(ServerCertificate::from_pem_chain(&commented, None), bare);
}
