//! What an operator may upload as a CA. OpenSSL and rustls-webpki judge what is issued under it.

#![cfg(feature = "x509")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // It is all test code.

mod support;

use identity_pki::{CaCertificate, Error, PlatformCa, SoftwareSigner};
use p256::ecdsa::SigningKey;
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::{EncodePrivateKey as _, LineEnding};
use support::der::{
    EXT_KEY_USAGE, SET, SUBJECT_KEY_IDENTIFIER, TRUE, client_auth, common_name, ecdsa_with_sha384,
    extension, integer, octets, oid, seq, tlv,
};
use support::leaf::{Leaf, validity};
use support::{NOW, OpenSsl, device_terms, identity, rng};
use time::Duration;

fn main() {
    support::run(
        support::tests![
            each_upload_that_is_refused_is_refused_for_its_rule,
            the_upload_is_one_certificate_and_nothing_else,
            a_ca_that_has_expired_still_loads_but_is_not_imported,
            what_is_taken_makes_certificates_that_openssl_and_webpki_take,
            name_constraints_pass_where_openssl_and_webpki_let_devices_pass,
            any_constraint_on_uris_would_have_locked_the_fleet_out,
            every_legal_subject_is_kept_byte_for_byte,
            a_ca_that_openssl_made_is_taken_whatever_its_curve_and_hash,
            a_ca_under_another_ca_is_taken_as_the_trust_anchor_that_it_is,
        ],
        OpenSsl::is_installed(),
        "openssl is not installed",
    );
}

fn signer(key: &SigningKey) -> Box<SoftwareSigner> {
    let pem = key.to_pkcs8_pem(LineEnding::LF).unwrap();
    Box::new(SoftwareSigner::from_pkcs8_pem(&pem).unwrap())
}

fn pem(der: &[u8]) -> String {
    support::pem("CERTIFICATE", der)
}

/// Imports a CA with the key that signs it.
fn import(leaf: &Leaf) -> Result<PlatformCa, Error> {
    PlatformCa::import(&pem(&leaf.der()), signer(&leaf.issuer), NOW)
}

fn reason(refused: Result<PlatformCa, Error>) -> &'static str {
    match refused {
        Err(Error::CaCertificate(rule)) => rule.code(),
        Err(Error::CaKeyMismatch { .. }) => "another key",
        Err(Error::CaNotValid { .. }) => "not valid now",
        other => panic!("{other:?}"),
    }
}

const NAME_CONSTRAINTS: &str = "2.5.29.30";
const EXT: usize = 9;

fn with(kind: &str, critical: bool, value: &[u8]) -> Leaf {
    Leaf::ca().with_extension(EXT, extension(kind, critical, value))
}

fn lasting(start: &[u8], end: &[u8]) -> Leaf {
    let validity = validity(0x17, start, 0x17, end);
    Leaf::ca().with(|leaf| leaf.validity = validity)
}

fn each_upload_that_is_refused_is_refused_for_its_rule() {
    let other = SigningKey::generate_from_rng(&mut rng());
    let rsa_key = seq(&[
        &seq(&[&oid("1.2.840.113549.1.1.1"), &[5, 0]]),
        &support::der::bits(&seq(&[&integer(&[0x7f; 255]), &integer(&[1, 0, 1])])),
    ]);
    let cases: Vec<(&str, Leaf)> = vec![
        ("version", Leaf::ca().with(|leaf| leaf.version.clear())),
        (
            "no_extensions",
            Leaf::ca().with(|leaf| leaf.extensions.clear()),
        ),
        ("key_algorithm", Leaf::ca().with(|leaf| leaf.spki = rsa_key)),
        ("another key", Leaf::ca().with(|leaf| leaf.issuer = other)),
        ("not valid now", lasting(b"200101000000Z", b"261122115959Z")),
        ("not valid now", lasting(b"261122120001Z", b"360101000000Z")),
        ("critical_extension", with("2.5.29.36", true, &seq(&[]))),
        (
            "critical_extension",
            with("2.5.29.54", true, &integer(&[0])),
        ),
        ("critical_extension", with("2.5.29.35", true, &seq(&[]))),
        ("critical_extension", with("2.5.29.32", true, &seq(&[]))),
        (
            "ext_key_usage",
            with(EXT_KEY_USAGE, true, &seq(&[&oid("2.5.29.37.0")])),
        ),
        ("subject_key_identifier", Leaf::ca().without_extension(2)),
        ("key_usage", Leaf::ca().without_extension(1)),
        ("not_ca", Leaf::ca().without_extension(0)),
        (
            "self_signature_algorithm",
            Leaf::ca().with(|leaf| {
                leaf.inner_algorithm = seq(&[&oid("1.2.840.113549.1.1.11"), &[5, 0]]);
                leaf.outer_algorithm.clone_from(&leaf.inner_algorithm);
            }),
        ),
        (
            "self_signature",
            Leaf::ca().with(|leaf| {
                leaf.inner_algorithm = ecdsa_with_sha384();
                leaf.outer_algorithm = ecdsa_with_sha384();
            }),
        ),
    ];
    for (expected, leaf) in cases {
        assert_eq!(reason(import(&leaf)), expected, "{leaf:?}");
    }
    let leaf = Leaf::ca();
    let mut damaged = leaf.der();
    let position = damaged
        .windows(4)
        .position(|bytes| bytes == [7; 4])
        .unwrap();
    damaged[position] ^= 1;
    let refused = PlatformCa::import(&pem(&damaged), signer(&leaf.issuer), NOW);
    assert_eq!(reason(refused), "self_signature");
}

fn the_upload_is_one_certificate_and_nothing_else() {
    let leaf = Leaf::ca();
    let certificate = pem(&leaf.der());
    let key = leaf.issuer.to_pkcs8_pem(LineEnding::LF).unwrap();
    let cases = [
        ("pem_trailing_text", format!("{certificate}{certificate}")),
        (
            "pem_trailing_text",
            format!("{certificate}{}", key.as_str()),
        ),
        ("pem_label", format!("{}{certificate}", key.as_str())),
        ("pem_label", key.as_str().to_owned()),
        ("pem_label", String::new()),
        ("pem_too_large", "-".repeat(100_000)),
    ];
    for (expected, text) in cases {
        let refused = PlatformCa::import(&text, signer(&leaf.issuer), NOW);
        assert_eq!(reason(refused), expected);
    }
}

fn a_ca_that_has_expired_still_loads_but_is_not_imported() {
    let leaf = lasting(b"200101000000Z", b"261122115959Z");
    let (pem, key) = (pem(&leaf.der()), &leaf.issuer);
    let refused = PlatformCa::import(&pem, signer(key), NOW);
    assert_eq!(reason(refused), "not valid now");
    let loaded = PlatformCa::load(&pem, signer(key)).unwrap();
    let refused = loaded.issue(&support::csr(), &identity(), &device_terms(), &mut rng());
    assert!(
        matches!(refused, Err(Error::CaNotValid { .. })),
        "{refused:?}"
    );
}

/// Whether OpenSSL and rustls-webpki each take a certificate under `ca`.
fn verdicts(openssl: &OpenSsl, ca: &[u8], device: &[u8]) -> [bool; 2] {
    openssl.write("ca.pem", pem(ca));
    openssl.write("device.pem", pem(device));
    let at = NOW.unix_timestamp().to_string();
    let (by_openssl, _) = openssl.try_run([
        "verify",
        "-partial_chain",
        "-purpose",
        "sslclient",
        "-attime",
        &at,
        "-CAfile",
        "ca.pem",
        "device.pem",
    ]);
    [by_openssl, support::path::webpki(ca, device, NOW).is_ok()]
}

/// What `ca` issues is taken by both, under the CA's subject byte for byte.
fn assert_issues(openssl: &OpenSsl, ca: &PlatformCa) {
    let issued = support::issue(ca);
    let der = ca.certificate().der();
    assert_eq!(verdicts(openssl, der, issued.der()), [true; 2], "{ca:?}");
    let leaf = rustls_pki_types::CertificateDer::from(issued.der());
    let leaf = webpki::EndEntityCert::try_from(&leaf).unwrap();
    let issuer = seq(&[leaf.issuer()]);
    assert_eq!(issuer, ca.certificate().subject_der());
}

fn what_is_taken_makes_certificates_that_openssl_and_webpki_take() {
    let openssl = OpenSsl::new();
    let constrained = |length: &[u8]| {
        let value = seq(&[&TRUE, &integer(length)]);
        let constraints = extension(support::der::BASIC_CONSTRAINTS, true, &value);
        Leaf::ca().with_extension(0, constraints)
    };
    for leaf in [
        Leaf::ca(),
        constrained(&[0]),
        constrained(&[1]),
        constrained(&[0x7f, 0xff]),
        with(EXT_KEY_USAGE, true, &client_auth()),
        with(
            EXT_KEY_USAGE,
            false,
            &seq(&[&oid("1.3.6.1.5.5.7.3.1"), &oid("1.3.6.1.5.5.7.3.2")]),
        ),
        with("2.5.29.32", false, &seq(&[&seq(&[&oid("2.5.29.32.0")])])),
        with("1.3.6.1.4.1.99999.1", false, &[5, 0]),
        Leaf::ca().with_extension(
            2,
            extension(SUBJECT_KEY_IDENTIFIER, false, &octets(&[9; 64])),
        ),
        Leaf::ca().with_extension(1, extension(support::der::KEY_USAGE, false, &[3, 2, 2, 4])),
        lasting(b"261122120000Z", b"491231235959Z"),
    ] {
        assert_issues(&openssl, &import(&leaf).unwrap());
    }
}

const MAIL: u8 = 0x81;
const HOST: u8 = 0x82;
const DIRECTORY: u8 = 0xa4;
const URI: u8 = 0x86;
const ADDRESS: u8 = 0x87;

fn subtrees(number: u8, bases: &[(u8, &[u8])]) -> Vec<u8> {
    let subtrees: Vec<u8> = bases
        .iter()
        .flat_map(|(kind, base)| seq(&[&tlv(*kind, &[base])]))
        .collect();
    tlv(0xa0 + number, &[&subtrees])
}

fn constrained(lists: &[&[u8]]) -> Leaf {
    with(NAME_CONSTRAINTS, true, &seq(lists))
}

fn name_constraints_pass_where_openssl_and_webpki_let_devices_pass() {
    let openssl = OpenSsl::new();
    let any_address: &[u8] = &[0; 8];
    let hosts: [(u8, &[u8]); 3] = [
        (MAIL, b"example.com"),
        (HOST, b"example.com"),
        (ADDRESS, any_address),
    ];
    for number in [0, 1] {
        for base in hosts {
            let leaf = constrained(&[&subtrees(number, &[base])]);
            assert_issues(&openssl, &import(&leaf).unwrap());
        }
    }
    let both = [&subtrees(0, &hosts)[..], &subtrees(1, &hosts)];
    assert_issues(&openssl, &import(&constrained(&both)).unwrap());

    let directory = common_name("dev_789");
    let minimum = seq(&[&tlv(HOST, &[b"example.com"]), &tlv(0x80, &[&[1]])]);
    for lists in [
        vec![],
        vec![subtrees(0, &[])],
        vec![subtrees(0, &[(DIRECTORY, &directory)])],
        vec![subtrees(1, &[(DIRECTORY, &directory)])],
        vec![subtrees(
            0,
            &[(HOST, b"example.com"), (URI, b"example.com")],
        )],
        vec![subtrees(0, &[(HOST, b"example.com")]), subtrees(1, &[])],
        vec![subtrees(0, &[(0x88, &[0x2a])])],
        vec![subtrees(0, &[(0xa0, &[])])],
        vec![tlv(0xa0, &[&minimum])],
    ] {
        let lists: Vec<&[u8]> = lists.iter().map(Vec::as_slice).collect();
        assert_eq!(
            reason(import(&constrained(&lists))),
            "name_constraints",
            "{lists:x?}"
        );
    }
}

/// Why constraints on URIs are refused, even those that permit everything.
fn any_constraint_on_uris_would_have_locked_the_fleet_out() {
    for base in [
        &b"example.com"[..],
        b"",
        b".",
        b"urn:link:tenant:acme:device:dev_789",
    ] {
        for number in [0, 1] {
            let refused = constrained(&[&subtrees(number, &[(URI, base)])]);
            assert_eq!(reason(import(&refused)), "name_constraints");

            // The same key without the constraint issues; under the constraint nobody passes.
            let ca = import(&refused.clone().without_extension(3)).unwrap();
            let issued = support::issue(&ca);
            let verdict = support::path::webpki(&refused.der(), issued.der(), NOW);
            assert_eq!(verdict, Err(webpki::Error::NameConstraintViolation));
        }
    }
}

fn every_legal_subject_is_kept_byte_for_byte() {
    let attribute = |kind: &str, tag, value: &[u8]| seq(&[&oid(kind), &tlv(tag, &[value])]);
    let rdn = |attributes: &[&[u8]]| tlv(SET, attributes);
    let (cn, o, c) = ("2.5.4.3", "2.5.4.10", "2.5.4.6");
    let utf8 = attribute(cn, 0x0c, "Gerätewerk \u{1f510}".as_bytes());
    let printable = attribute(o, 0x13, b"Example");
    let subjects = [
        ("UTF8String", seq(&[&rdn(&[&utf8])])),
        (
            "T61String",
            seq(&[&rdn(&[&attribute(cn, 0x14, b"Ger\xe4te")])]),
        ),
        (
            "BMPString",
            seq(&[&rdn(&[&attribute(cn, 0x1e, b"\x00C\x00A")])]),
        ),
        (
            "IA5String",
            seq(&[&rdn(&[&attribute(
                "0.9.2342.19200300.100.1.25",
                0x16,
                b"example",
            )])]),
        ),
        ("two values in one RDN", seq(&[&rdn(&[&printable, &utf8])])),
        (
            "CN before C",
            seq(&[&rdn(&[&utf8]), &rdn(&[&attribute(c, 0x13, b"CH")])]),
        ),
        (
            "an attribute twice",
            seq(&[&rdn(&[&printable]), &rdn(&[&printable]), &rdn(&[&utf8])]),
        ),
        ("no CN", seq(&[&rdn(&[&printable])])),
        (
            "spaces",
            seq(&[&rdn(&[&attribute(cn, 0x13, b"  A   CA ")])]),
        ),
        (
            "an unknown attribute",
            seq(&[&rdn(&[&attribute("1.3.6.1.4.1.99999.7", 0x0c, b"x")])]),
        ),
    ];
    let openssl = OpenSsl::new();
    for (name, subject) in subjects {
        let leaf = Leaf::ca().with(|leaf| leaf.subject.clone_from(&subject));
        let der = leaf.der();
        let ca = PlatformCa::import(&pem(&der), signer(&leaf.issuer), NOW);
        let ca = ca.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(ca.certificate().der(), der, "{name}");
        assert_eq!(ca.certificate().subject_der(), subject, "{name}");
        assert_issues(&openssl, &ca);
    }
}

fn a_ca_that_openssl_made_is_taken_whatever_its_curve_and_hash() {
    for curve in ["P-256", "P-384"] {
        // Without a digest: OpenSSL's default is SHA-256 on both curves.
        for digest in ["", "-sha256", "-sha384", "-sha512"] {
            let made = MadeByOpenSsl::new(curve, digest);
            let ca = made.import(&made.der()).unwrap();
            assert_eq!(ca.certificate().curve().to_string(), curve);
            assert!(made.verifies(&made.der()), "{curve} {digest}");

            let mut damages = [made.der(), made.der()];
            let signed = damages[0].windows(7).position(|text| text == b"Comment");
            damages[0][signed.unwrap()] ^= 1;
            *damages[1].last_mut().unwrap() ^= 1;
            for damaged in damages {
                let verdict = (reason(made.import(&damaged)), made.verifies(&damaged));
                assert_eq!(verdict, ("self_signature", false), "{curve} {digest}");
            }
        }
        for digest in ["-sha1", "-sha224", "-sha3-256"] {
            let made = MadeByOpenSsl::new(curve, digest);
            let refused = made.import(&made.der());
            assert_eq!(reason(refused), "self_signature_algorithm", "{digest}");
        }
    }
}

/// A CA as an operator makes it at the command line.
struct MadeByOpenSsl(OpenSsl);

impl MadeByOpenSsl {
    fn new(curve: &str, digest: &str) -> Self {
        let openssl = OpenSsl::new();
        openssl.line(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:{curve} -noenc {digest} -days 3650 \
             -subj /CN=Made -addext keyUsage=critical,keyCertSign -addext nsComment=Comment \
             -keyout key.pem -out ca.pem"
        ));
        openssl.line("x509 -in ca.pem -outform DER -out ca.der");
        Self(openssl)
    }

    fn der(&self) -> Vec<u8> {
        std::fs::read(self.0.path("ca.der")).unwrap()
    }

    /// Whether OpenSSL finds that the certificate signed itself.
    fn verifies(&self, der: &[u8]) -> bool {
        self.0.write("judged.pem", pem(der));
        let line = "verify -check_ss_sig -CAfile judged.pem judged.pem";
        self.0.try_run(line.split(' ')).0
    }

    fn import(&self, der: &[u8]) -> Result<PlatformCa, Error> {
        let signer = SoftwareSigner::from_pkcs8_pem(&self.0.read("key.pem")).unwrap();
        let now = CaCertificate::from_der(der).unwrap().not_before();
        PlatformCa::import(&pem(der), Box::new(signer), now)
    }
}

fn a_ca_under_another_ca_is_taken_as_the_trust_anchor_that_it_is() {
    let key = SigningKey::generate_from_rng(&mut rng());
    let root = SigningKey::generate_from_rng(&mut rng());
    let rsa = seq(&[&oid("1.2.840.113549.1.1.11"), &[5, 0]]);
    let leaf = Leaf::ca().with(|leaf| {
        leaf.subject = common_name("An issuing CA");
        leaf.issuer = root;
        leaf.spki = Leaf::spki(&key);
        // It is not asked how the CA above signs.
        leaf.inner_algorithm.clone_from(&rsa);
        leaf.outer_algorithm = rsa;
    });
    let der = leaf.der();
    let ca = PlatformCa::import(&pem(&der), signer(&key), NOW).unwrap();
    assert_issues(&OpenSsl::new(), &ca);
    let end = CaCertificate::from_der(&der).unwrap().not_after();
    let late = PlatformCa::import(&pem(&der), signer(&key), end + Duration::SECOND);
    assert_eq!(reason(late), "not valid now");
}
