//! Chains made to cost time: refused by their size and shape before a signature is verified, whatever
//! they hold. The order is what these tests pin; `bench/` measures the time.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod fleet;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fleet::certificates::{Authority, Credentials, common_name, uri};
use fleet::counting::counting;
use fleet::network::{Seen, Server, TLS_VERSIONS};
use fleet::{NOW, denylist, identity, trust, verifier};
use identity_mtls::{DeviceCertVerifier, LiveConnections, TrustBundle};
use rcgen::{CertificateParams, CustomExtension, SanType, SerialNumber};
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};

/// A verifier, and how many signatures it was asked to verify.
struct Watched {
    verifier: DeviceCertVerifier,
    checks: &'static AtomicUsize,
}

impl Watched {
    fn new(trust: TrustBundle) -> Self {
        let (provider, checks) = counting();
        Self {
            verifier: DeviceCertVerifier::new(&provider, trust, denylist([])),
            checks,
        }
    }

    /// Whether the chain is accepted, and how many signatures were verified for it.
    fn look(&self, chain: &[CertificateDer<'_>]) -> (bool, usize) {
        let now = std::time::Duration::from_secs(NOW.unix_timestamp().unsigned_abs());
        let now = UnixTime::since_unix_epoch(now);
        let decided = self
            .verifier
            .verify_client_cert(&chain[0], &chain[1..], now);
        (decided.is_ok(), self.checks.swap(0, Ordering::Relaxed))
    }
}

/// DER with this tag and these contents, of up to 64 KiB.
fn tlv(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = u16::try_from(contents.len()).expect("64 KiB at most");
    let [high, low] = length.to_be_bytes();
    let head = match length {
        0..0x80 => vec![tag, low],
        0x80..0x100 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [head, contents.to_vec()].concat()
}

fn forged(
    authority: &Authority,
    twist: impl FnOnce(&mut CertificateParams),
) -> CertificateDer<'static> {
    authority.forge("dev_1", twist).leaf().clone()
}

fn extension(n: u64, length: usize) -> CustomExtension {
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, n], vec![5; length])
}

/// Leaves that nothing but their shape gives away: the CA's own key signed them.
fn hostile_leaves(authority: &Authority) -> Vec<(&'static str, CertificateDer<'static>)> {
    let forge = |twist: &dyn Fn(&mut CertificateParams)| forged(authority, twist);
    let nested = (0..900).fold(Vec::new(), |inner, _| tlv(0x30, &inner));
    vec![
        (
            "60 KiB",
            forge(&|leaf| leaf.custom_extensions = vec![extension(1, 60_000)]),
        ),
        (
            "a thousand extensions",
            forge(&|leaf| {
                leaf.custom_extensions = (0..1000).map(|n| extension(n, 2)).collect();
            }),
        ),
        (
            "a hundred extensions",
            forge(&|leaf| {
                leaf.custom_extensions = (0..100).map(|n| extension(n, 2)).collect();
            }),
        ),
        (
            "a thousand names",
            forge(&|leaf| {
                leaf.subject_alt_names = vec![uri(&identity("dev_1").san_uri()); 1000];
            }),
        ),
        (
            "twenty names",
            forge(&|leaf| {
                let names = (0..20).map(|n| SanType::IpAddress([10, 0, 0, n].into()));
                leaf.subject_alt_names.extend(names);
            }),
        ),
        (
            "a serial number of 3 KiB",
            forge(&|leaf| {
                leaf.serial_number = Some(SerialNumber::from(vec![0x7f; 3000]));
            }),
        ),
        (
            "an object identifier of many arcs",
            forge(&|leaf| {
                let arcs: Vec<u64> = [1, 3]
                    .into_iter()
                    .chain((0..300).map(|_| u64::MAX))
                    .collect();
                leaf.custom_extensions = vec![CustomExtension::from_oid_content(&arcs, vec![5, 0])];
            }),
        ),
        (
            "SEQUENCEs in SEQUENCEs",
            forge(&|leaf| {
                let nested = nested.clone();
                leaf.custom_extensions = vec![CustomExtension::from_oid_content(
                    &[1, 3, 6, 1, 4, 1, 99_999],
                    nested,
                )];
            }),
        ),
        (
            "a subject of 3 KiB",
            forge(&|leaf| leaf.distinguished_name = common_name(&"x".repeat(3000))),
        ),
        ("a key of another kind", of_key(authority, ED25519)),
        ("an unknown key algorithm", of_key(authority, UNKNOWN)),
        ("explicit curve parameters", of_key(authority, EXPLICIT)),
        ("no certificate", vec![0; 4000].into()),
        ("nothing", Vec::new().into()),
    ]
}

/// id-ecPublicKey with a named curve, as an honest leaf has it.
const NAMED: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07,
];
/// The same length, other algorithms: id-Ed25519 and one that nobody knows, both with parameters.
const ED25519: &[u8] = &[
    0x30, 0x13, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x06, 0x0c, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
    0x07, 0x01, 0x01, 0x01, 0x01,
];
const UNKNOWN: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x7f, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07,
];
/// The parameters are a SEQUENCE in place of the curve's name (OpenSSL CVE-2022-0778).
const EXPLICIT: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x30, 0x08, 0x02, 0x01, 0x01,
    0x30, 0x03, 0x02, 0x01, 0x04,
];

/// An honest leaf with another algorithm of its key. Its signature is wrong then, which is not what it
/// is to be refused for.
fn of_key(authority: &Authority, algorithm: &[u8]) -> CertificateDer<'static> {
    let mut leaf = authority.device("dev_1").leaf().to_vec();
    let at = leaf.windows(NAMED.len()).position(|window| window == NAMED);
    let at = at.expect("the key's algorithm");
    leaf[at..at + NAMED.len()].copy_from_slice(algorithm);
    leaf.into()
}

#[test]
fn a_hostile_leaf_is_refused_before_any_signature_is_verified() {
    let authority = Authority::new();
    let watched = Watched::new(authority.trust());
    let honest = authority.device("dev_1");
    assert_eq!(watched.look(&honest.chain), (true, 1), "the control");
    for (story, leaf) in hostile_leaves(&authority) {
        assert_eq!(watched.look(&[leaf]), (false, 0), "{story}");
    }
}

#[test]
fn a_long_chain_is_refused_before_any_signature_is_verified() {
    let authority = Authority::new();
    let watched = Watched::new(authority.trust());
    let device = authority.device("dev_1");
    // A mesh: CAs of one name, so that every one could have signed every other.
    let mesh: Vec<_> = (0..10).map(|_| Authority::named("Test CA").der()).collect();
    let large = CertificateDer::from(vec![0x30; 60_000]);
    for (story, beside) in [
        ("a hundred certificates", vec![authority.der(); 100]),
        ("a mesh", mesh.clone()),
        ("one of a mesh", mesh[..1].to_vec()),
        ("60 KiB beside the leaf", vec![large]),
        ("the CA twice", vec![authority.der(); 2]),
    ] {
        let chain = device.beside(&beside).chain;
        assert_eq!(watched.look(&chain), (false, 0), "{story}");
    }
}

#[test]
fn of_many_cas_with_one_name_the_one_that_the_leaf_means_is_tried_first_and_few_others() {
    let authorities: Vec<_> = (0..20).map(|_| Authority::named("Same")).collect();
    let watched = Watched::new(trust(&authorities.iter().collect::<Vec<_>>()));
    for authority in &authorities {
        let device = authority.device("dev_1");
        assert_eq!(watched.look(&device.chain), (true, 1));
    }
    // Its CA is none of them, though it has their name.
    let stranger = Authority::named("Same").device("dev_1");
    assert_eq!(watched.look(&stranger.chain), (false, 4));
    // It does not say which of them it means, as no leaf of ours does.
    let silent = |authority| {
        forged(authority, |leaf| {
            leaf.use_authority_key_identifier_extension = false;
        })
    };
    assert_eq!(watched.look(&[silent(&authorities[0])]), (true, 1));
    assert_eq!(watched.look(&[silent(&authorities[19])]), (false, 4));
}

/// rustls limits a handshake message to 64 KiB before it is put together, and gives the verifier what
/// is smaller.
#[tokio::test]
async fn a_certificate_message_beyond_64_kib_does_not_reach_the_verifier() {
    let authority = Authority::new();
    let denylist = denylist([]);
    let live = LiveConnections::new(Arc::clone(&denylist));
    let mut server = Server::start(&verifier(&authority, &denylist), &live).await;
    let device = authority.device("dev_1");
    let of_length = |length: usize| -> Credentials {
        device.beside(&[CertificateDer::from(vec![0x30; length])])
    };
    for version in TLS_VERSIONS {
        let client = server.client(version, Some(&of_length(60_000)));
        let (_, seen) = server.meet(client).await;
        let Seen::Failed(error) = seen else {
            panic!("{version:?}: {seen:?}");
        };
        assert!(
            matches!(error, rustls::Error::InvalidCertificate(_)),
            "{error:?}"
        );

        let client = server.client(version, Some(&of_length(70_000)));
        let (_, seen) = server.meet(client).await;
        let Seen::Failed(error) = seen else {
            panic!("{version:?}: {seen:?}");
        };
        let too_large = rustls::InvalidMessage::HandshakePayloadTooLarge;
        assert_eq!(error, too_large.into(), "{version:?}");
    }
}
