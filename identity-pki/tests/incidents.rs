//! What went wrong elsewhere, and does not here.

#![cfg(all(feature = "x509", feature = "pairing-code"))]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // It is all test code.

mod support;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use identity_pki::{
    CaCertificate, CaSigner, CsrPolicy, DeviceCertificate, ECDSA_P256_SHA256, Error, PairingCode,
    PairingPepper, PlatformCa, ServerCertificate, SigningError,
};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::elliptic_curve::Generate as _;
use support::der::{
    BASIC_CONSTRAINTS, DIGITAL_SIGNATURE, EXT_KEY_USAGE, KEY_USAGE, SEQUENCE, SET,
    SUBJECT_ALT_NAME, SUBJECT_KEY_IDENTIFIER, UTF8, attribute_value, bits, client_auth, extension,
    octets, p256_algorithm, san_uri, seq, tlv,
};
use support::leaf::Leaf;
use support::request::Request;
use support::tree::{Body, Node, Path};

const OCTET_STRING: u8 = 0x04;

/// `der` with each of its nodes in turn emptied: as what it is, as a SEQUENCE and as a SET.
fn emptied(der: &[u8]) -> Vec<(Path, u8, Node)> {
    let whole = Node::parse(der).unwrap();
    let mut cases = Vec::new();
    for path in whole.paths() {
        let own = whole.clone().at_mut(&path).unwrap().tag;
        for tag in BTreeSet::from([own, SEQUENCE, SET]) {
            let mut bent = whole.clone();
            let body = Body::Nodes(Vec::new());
            *bent.at_mut(&path).unwrap() = Node { tag, body };
            if bent != whole {
                cases.push((path.clone(), tag, bent));
            }
        }
    }
    cases
}

/// Signs the first of the three parts again, so that nothing is refused for its signature alone.
fn sign_again(whole: &mut Node, path: &[usize], key: &SigningKey) {
    if path.first() == Some(&0) {
        let parts = whole.children_mut().unwrap();
        let signature: p256::ecdsa::Signature = key.sign(&parts[0].encode());
        let signature = signature.normalize_s().to_der();
        parts[2] = Node::parse(&bits(signature.as_bytes())).unwrap();
    }
}

/// step-ca CVE-2026-40097: an empty `ExtKeyUsage` made the CA panic. What may be empty is what the
/// gate throws away: the subject and the values in it, and the password; and there may be no
/// attributes.
#[test]
fn an_empty_sequence_or_set_anywhere_in_a_request_is_refused() {
    let identity = support::identity();
    let text = tlv(0x0c, &[b"hunter2"]);
    let request = Request::new()
        .with_attribute("1.2.840.113549.1.9.7", &[&text])
        .with_extensions(&[
            &extension(BASIC_CONSTRAINTS, true, &seq(&[])),
            &extension(KEY_USAGE, true, &DIGITAL_SIGNATURE),
            &extension(EXT_KEY_USAGE, false, &client_auth()),
            &extension(SUBJECT_ALT_NAME, false, &san_uri(&identity.san_uri())),
        ]);
    let policy = CsrPolicy::new(ECDSA_P256_SHA256).expect_identity(&identity);
    policy.check_der(&request.der()).expect("it is honest");

    let mut accepted = Vec::new();
    let cases = emptied(&request.der());
    assert!(cases.len() > 100, "{} nodes", cases.len());
    for (path, tag, mut bent) in cases {
        sign_again(&mut bent, &path, &request.key);
        if policy.check_der(&bent.encode()).is_ok() {
            accepted.push((path, tag));
        }
    }
    let (subject, name, password) = (vec![0, 1], vec![0, 1, 0, 0, 1], vec![0, 3, 0, 1, 0]);
    let mut expected = vec![(subject, SEQUENCE), (vec![0, 3], 0xa0), (password, UTF8)];
    expected.extend([UTF8, SEQUENCE, SET].map(|tag| (name.clone(), tag)));
    expected.sort();
    accepted.sort();
    assert_eq!(accepted, expected);
}

/// The issuer is not looked at here, since path validation compares it with the CA's subject; nor is
/// the signature of a CA, which is a trust anchor.
#[test]
fn an_empty_sequence_or_set_anywhere_in_a_certificate_is_refused() {
    let key_id = extension(SUBJECT_KEY_IDENTIFIER, false, &octets(&[1; 20]));
    let device = Leaf::device().with_extension(9, key_id).der();
    let ca = Leaf::ca().der();
    let key = SigningKey::generate_from_rng(&mut support::rng());
    DeviceCertificate::from_der(&device).expect("it is honest");
    CaCertificate::from_der(&ca).expect("it is honest");

    let mut accepted = Vec::new();
    for (kind, der) in [("device", &device), ("CA", &ca)] {
        for (path, tag, mut bent) in emptied(der) {
            sign_again(&mut bent, &path, &key);
            let elsewhere = path.starts_with(&[0, 3]) || (kind == "CA" && path.starts_with(&[2]));
            let bent = bent.encode();
            if elsewhere {
                continue;
            }
            if DeviceCertificate::from_der(&bent).is_ok() || CaCertificate::from_der(&bent).is_ok()
            {
                accepted.push((kind, path, tag));
            }
            // The facts of a server's certificate are read by another parser.
            let _ = ServerCertificate::from_pem_chain(&pem(&bent), None);
        }
    }
    // What a CA calls itself is its own affair, and an empty key identifier finds nothing.
    let name = vec![0, 5, 0, 0, 1];
    let mut expected = vec![("device", vec![0, 7, 0, 4, 1, 0], OCTET_STRING)];
    expected.extend([UTF8, SEQUENCE, SET].map(|tag| ("CA", name.clone(), tag)));
    expected.sort();
    accepted.sort();
    assert_eq!(accepted, expected);
}

fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
}

/// A signer that keeps what it was given to sign.
#[derive(Debug)]
struct Recording {
    key: SigningKey,
    spki: Vec<u8>,
    signed: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Recording {
    fn new() -> Self {
        let key = SigningKey::generate_from_rng(&mut support::rng());
        let point = key.verifying_key().to_sec1_point(false);
        Self {
            spki: seq(&[&p256_algorithm(), &bits(point.as_bytes())]),
            signed: Arc::default(),
            key,
        }
    }
}

impl CaSigner for Recording {
    fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        self.signed.lock().unwrap().push(message.to_vec());
        let signature: DerSignature = self.key.sign(message);
        Ok(signature.as_bytes().to_vec())
    }
}

/// Let's Encrypt, 2023: certificates were linted in one form and signed in another.
#[test]
fn the_bytes_that_were_checked_are_the_bytes_that_were_signed() {
    let signer = Recording::new();
    let (signed, point) = (Arc::clone(&signer.signed), signer.spki[26..].to_vec());
    let key = signer.key.clone();
    let terms = support::ca_terms();
    let ca = PlatformCa::generate(Box::new(signer), "A CA", &terms, &mut support::rng()).unwrap();
    signed.lock().unwrap().clear();

    let issued = support::issue(&ca);
    let parts = Node::parse(issued.der()).unwrap();
    let [tbs, _, signature] = parts.children() else {
        panic!("{parts:?}");
    };
    assert_eq!(*signed.lock().unwrap(), [tbs.encode()], "once, and these");
    let Body::Bits(value) = &signature.body else {
        panic!("{signature:?}");
    };
    let value = value[0].encode();
    let verdict = ECDSA_P256_SHA256.verify_signature(&point, &tbs.encode(), &value);
    assert!(verdict.is_ok());

    // In two steps the bytes are the same ones too, and asking again does not change them.
    let unsigned = ca.certificate().prepare(
        &support::csr(),
        &support::identity(),
        &support::device_terms(),
        &mut support::rng(),
    );
    let unsigned = unsigned.unwrap();
    let first = unsigned.tbs().to_vec();
    // The signature of the certificate before is the same key's, but not over these bytes.
    let refused = unsigned.clone().complete(&value).unwrap_err();
    assert!(matches!(refused, Error::Signing(_)), "{refused}");
    let signature: DerSignature = key.sign(&first);
    let issued = unsigned.clone().complete(signature.as_bytes()).unwrap();
    assert_eq!(unsigned.tbs(), first);
    let read = DeviceCertificate::from_der(issued.der()).unwrap();
    assert_eq!(read.tbs_sha256(), identity_pki::TbsSha256::of_tbs(&first));
}

/// `OpenBao` CVE-2025-54998 and -55003: lock-out and one-time use were evaded by spelling a code in
/// other case or with spaces. Here there is one form to count, look up and use.
#[test]
fn a_pairing_code_cannot_be_tried_twice_by_case_or_spaces() {
    let pepper = PairingPepper::from_bytes([7; 32]);
    let code = PairingCode::generate(&mut support::rng());
    let hash = code.lookup_hash(&pepper);
    let (upper, lower) = (code.as_str().to_owned(), code.as_str().to_lowercase());
    let mut spellings = vec![upper.clone(), lower.clone()];
    for gap in [" ", "-", "  ", "- -", "--"] {
        spellings.push(format!("{gap}{lower}{gap}"));
        spellings.push(upper.chars().map(|c| format!("{c}{gap}")).collect());
        for position in 1..upper.len() {
            spellings.push(format!("{}{gap}{}", &lower[..position], &upper[position..]));
        }
    }
    for spelling in &spellings {
        let typed = PairingCode::parse(spelling).unwrap();
        assert_eq!(typed.as_str(), upper, "{spelling:?}");
        assert_eq!(typed.lookup_hash(&pepper), hash, "{spelling:?}");
    }
    // Other white space, look-alikes and anything invisible are no second spelling: no code at all.
    for odd in [
        "\u{a0}", "\u{2007}", "\u{200b}", "\u{feff}", "\t", "\u{0}", "_", ".", "\u{2010}",
        "\u{301}",
    ] {
        for position in 1..upper.len() {
            let typed = format!("{}{odd}{}", &upper[..position], &upper[position..]);
            assert!(PairingCode::parse(&typed).is_err(), "{typed:?}");
        }
    }
    let full_width: String = upper
        .chars()
        .map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap())
        .collect();
    assert!(PairingCode::parse(&full_width).is_err());
}

/// step-ca CVE-2026-30836: an unhandled type of message skipped the check. Whatever the gate does
/// not know is refused, wherever it stands.
#[test]
fn what_is_unknown_is_refused_wherever_it_stands() {
    let policy = CsrPolicy::new(ECDSA_P256_SHA256);
    let unknown = "1.3.6.1.4.1.99999.1";
    let null = [5, 0];
    let code = |request: &Request| policy.check_der(&request.der()).unwrap_err().code();
    let attribute = Request::new().with_attribute(unknown, &[&null]);
    assert_eq!(code(&attribute), "attribute_unknown");
    let asked = Request::new().with_extensions(&[&extension(unknown, false, &null)]);
    assert_eq!(code(&asked), "extension_unknown");
    let algorithm = seq(&[&support::der::oid(unknown)]);
    let signed = Request::new().with(|request| request.signature_algorithm = algorithm.clone());
    assert_eq!(code(&signed), "signature_algorithm");
    let point = Request::new().point();
    assert_eq!(
        code(&Request::new().with_spki(&algorithm, &point)),
        "key_algorithm"
    );
    // The type of an attribute in the subject may be unknown: the subject is thrown away.
    let odd = seq(&[&tlv(SET, &[&attribute_value(unknown, "x")])]);
    let named = Request::new().with(|request| request.subject = odd);
    assert!(policy.check_der(&named.der()).is_ok());
}
