//! A revoked certificate stays revoked however its bytes are arranged: what is not the one encoding
//! that the CA wrote is refused, and the one encoding is denied.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod fleet;
#[allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "it is shared with identity-pki's tests"
)]
#[path = "../../identity-pki/tests/support/tree.rs"]
mod tree;

use std::collections::BTreeSet;

use fleet::certificates::{Authority, Credentials, other_s, with_signature};
use fleet::network::{Seen, Server, TLS_VERSIONS};
use fleet::{NOW, denylist, provider, verifier};
use identity_mtls::{
    DenylistSnapshot, LiveConnections, PresentedChain, Refusal, VerifiedDevice, decide,
};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};
use tree::{Node, length};
use x509_cert::der::pem::LineEnding;

/// Writes an element of a tag and contents in another way than DER's.
type Twist = fn(u8, &[u8]) -> Vec<u8>;

const TWISTS: [(&str, Twist); 11] = [
    ("a length in one octet more", |tag, contents| {
        let octets = match length(contents.len()).as_slice() {
            [short] => vec![0x81, *short],
            [0x81, long] => vec![0x82, 0, *long],
            other => [&[0x83, 0], &other[1..]].concat(),
        };
        [&[tag], &octets[..], contents].concat()
    }),
    ("a length in four octets", |tag, contents| {
        let octets = u32::try_from(contents.len()).expect("short").to_be_bytes();
        [&[tag, 0x84], &octets[..], contents].concat()
    }),
    ("an indefinite length", |tag, contents| {
        [&[tag, 0x80], contents, &[0, 0]].concat()
    }),
    ("a zero at its end", |tag, contents| {
        element(tag, &[contents, &[0]])
    }),
    ("a NULL at its end", |tag, contents| {
        element(tag, &[contents, &[5, 0]])
    }),
    ("a zero at its beginning", |tag, contents| {
        element(tag, &[&[0], contents])
    }),
    ("a zero behind it", |tag, contents| {
        [element(tag, &[contents]), vec![0]].concat()
    }),
    ("the last octet left out", |tag, contents| {
        element(
            tag,
            &[contents
                .get(..contents.len().saturating_sub(1))
                .unwrap_or(&[])],
        )
    }),
    ("a constructed form", |tag, contents| {
        element(tag ^ 0x20, &[&element(tag, &[contents])])
    }),
    ("a tag in two octets", |tag, contents| {
        [
            &[tag | 0x1f, tag & 0x1f],
            &length(contents.len())[..],
            contents,
        ]
        .concat()
    }),
    ("one unused bit", |tag, contents| match (tag, contents) {
        (0x03, [0, rest @ ..]) => element(tag, &[&[1], rest]),
        _ => element(tag, &[contents, &[0]]),
    }),
];

fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    [&[tag], &length(contents.len())[..], &contents].concat()
}

/// Each twist at each node that `at` picks, and the text of it.
fn reencodings(
    leaf: &CertificateDer<'static>,
    at: impl Fn(&[usize]) -> bool,
) -> Vec<(String, CertificateDer<'static>)> {
    let whole = Node::parse(leaf).expect("DER");
    let paths = whole.paths().into_iter().filter(|path| at(path));
    let mut found: Vec<(String, CertificateDer<'static>)> = paths
        .flat_map(|path| {
            let twisted = |(name, twist): (&str, Twist)| {
                let der = whole.encode_with(&path, &|tag, contents| twist(tag, contents));
                (format!("{name} at {path:?}"), der.into())
            };
            TWISTS.map(twisted)
        })
        .collect();
    found.push(("PEM".to_owned(), pem(leaf).into()));
    found.retain(|(_, der)| der != leaf);
    found
}

/// The signature's other form, for a leaf that a CA on P-256 signed.
fn with_the_other_s(leaf: &CertificateDer<'static>) -> (String, CertificateDer<'static>) {
    ("the other s".to_owned(), with_signature(leaf, other_s))
}

fn pem(der: &[u8]) -> Vec<u8> {
    let text = x509_cert::der::pem::encode_string("CERTIFICATE", LineEnding::LF, der);
    text.expect("PEM").into_bytes()
}

fn verdict(
    authority: &Authority,
    leaf: &CertificateDer<'_>,
    denied: &DenylistSnapshot,
) -> Result<VerifiedDevice, Refusal> {
    let chain = PresentedChain::new(leaf, &[])?;
    let algorithms = provider().signature_verification_algorithms;
    decide(&chain, NOW, &authority.trust(), Some(denied), &algorithms)
}

/// Outside of what the CA signed.
fn unsigned(path: &[usize]) -> bool {
    path.first() != Some(&0)
}

#[test]
fn no_reencoding_of_a_revoked_certificate_is_accepted() {
    let authority = Authority::new();
    let device = authority.device("dev_1");
    let mut all = reencodings(device.leaf(), |_| true);
    all.push(with_the_other_s(device.leaf()));
    none_is_accepted(&authority, &device, all);
}

/// `identity-pki` tests the other s on this curve.
#[test]
fn no_reencoding_of_a_revoked_certificate_of_a_p384_ca_is_accepted() {
    let authority = Authority::p384();
    let device = authority.device("dev_1");
    let all = reencodings(device.leaf(), |_| true);
    none_is_accepted(&authority, &device, all);
}

fn none_is_accepted(
    authority: &Authority,
    device: &Credentials,
    all: Vec<(String, CertificateDer<'static>)>,
) {
    let nothing = DenylistSnapshot::new([], NOW);
    let revoked = DenylistSnapshot::new([device.certificate().tbs_sha256()], NOW);
    assert!(verdict(authority, device.leaf(), &nothing).is_ok());
    let refusal = verdict(authority, device.leaf(), &revoked).expect_err("revoked");
    assert!(matches!(refusal, Refusal::Denied { .. }));

    assert!(all.len() > 300, "{}", all.len());
    for (name, leaf) in all {
        for denylist in [&nothing, &revoked] {
            let refusal = verdict(authority, &leaf, denylist).expect_err(&name);
            // With other bytes below the signature it is another certificate, which nobody issued.
            let expected = matches!(
                refusal,
                Refusal::Profile(_) | Refusal::BadSignature | Refusal::UnknownIssuer
            );
            assert!(expected, "{name}: {refusal:?}");
        }
    }
}

/// The control: a stock verifier with a list of fingerprints could be walked around.
#[test]
fn the_stock_verifier_takes_another_spelling() {
    let authority = Authority::new();
    let device = authority.device("dev_1");
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).expect("root");
    let stock = WebPkiClientVerifier::builder_with_provider(roots.into(), provider()).build();
    let stock = stock.expect("verifier");
    let now = std::time::Duration::from_secs(NOW.unix_timestamp().unsigned_abs());
    let now = UnixTime::since_unix_epoch(now);
    let accepted: BTreeSet<String> = reencodings(device.leaf(), |_| true)
        .into_iter()
        .chain([with_the_other_s(device.leaf())])
        .filter(|(_, leaf)| stock.verify_client_cert(leaf, &[], now).is_ok())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(accepted, BTreeSet::from(["the other s".to_owned()]));
}

async fn is_refused(server: &mut Server, credentials: &Credentials, name: &str) {
    for version in TLS_VERSIONS {
        let (heard, seen) = server.meet(server.client(version, Some(credentials))).await;
        assert!(heard.is_err(), "{name}, {version:?}");
        assert!(
            matches!(seen, Seen::Failed(_)),
            "{name}, {version:?}: {seen:?}"
        );
    }
}

#[tokio::test]
async fn no_reencoding_of_a_revoked_certificate_gets_through_a_handshake() {
    let authority = Authority::new();
    let device = authority.device("dev_1");
    let denylist = denylist([device.certificate().tbs_sha256()]);
    let live = LiveConnections::new(denylist.clone());
    let mut server = Server::start(&verifier(&authority, &denylist), &live).await;
    is_refused(&mut server, &device, "as it was issued").await;
    let mut all = reencodings(device.leaf(), unsigned);
    all.push(with_the_other_s(device.leaf()));
    for (name, leaf) in all {
        let rewritten = device.presenting(vec![leaf]);
        is_refused(&mut server, &rewritten, &name).await;
    }
}
