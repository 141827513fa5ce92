//! What rustls and webpki let through, or limit, today. This crate guards against the first and
//! relies on the second; an upgrade that changes either is to be seen.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod fleet;

use std::sync::Arc;

use fleet::certificates::{Authority, Credentials, common_name, other_s, uri, with_signature};
use fleet::network::{At, Localhost, Seen, Server, TLS_VERSIONS};
use fleet::{NOW, Refusals, denylist, provider};
use identity_mtls::{
    DenylistSnapshot, DeviceCertVerifier, LiveConnections, PresentedChain, Refusal, VerifiedDevice,
    decide,
};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, UnixTime};
use time::{Duration, OffsetDateTime};
use webpki::{EndEntityCert, KeyUsage};

/// rustls' own verifier with this CA as its root.
fn stock(authority: &Authority) -> Arc<dyn ClientCertVerifier> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).expect("root");
    let builder = WebPkiClientVerifier::builder_with_provider(roots.into(), provider());
    builder.build().expect("verifier")
}

fn unix(time: OffsetDateTime) -> UnixTime {
    let seconds = time.unix_timestamp().unsigned_abs();
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
}

fn ours(
    authority: &Authority,
    credentials: &Credentials,
    now: OffsetDateTime,
) -> Result<VerifiedDevice, Refusal> {
    let chain = PresentedChain::new(credentials.leaf(), &credentials.chain[1..])?;
    let nothing = DenylistSnapshot::new([], now);
    let algorithms = provider().signature_verification_algorithms;
    decide(&chain, now, &authority.trust(), Some(&nothing), &algorithms)
}

/// Why this crate has a decision of its own: the stock verifier takes each of these.
#[test]
fn the_stock_verifier_accepts_what_the_profile_refuses() {
    let authority = Authority::new();
    type Twist = fn(&mut CertificateParams);
    let twists: [(&str, Twist); 13] = [
        ("for servers too", |p| {
            p.extended_key_usages
                .push(ExtendedKeyUsagePurpose::ServerAuth);
        }),
        ("for no purpose in particular", |p| {
            p.extended_key_usages.clear();
        }),
        ("may sign certificates", |p| {
            p.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        }),
        ("may not sign", |p| {
            p.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
        }),
        ("no key usage", |p| p.key_usages.clear()),
        ("no basic constraints", |p| p.is_ca = IsCa::NoCa),
        ("no name", |p| p.subject_alt_names.clear()),
        ("two names", |p| {
            p.subject_alt_names
                .push(uri("urn:link:tenant:acme:device:dev_2"));
        }),
        ("a DNS name beside the device", |p| {
            let host = "a.example".try_into().expect("IA5String");
            p.subject_alt_names.push(SanType::DnsName(host));
        }),
        ("a name that is no device's", |p| {
            p.subject_alt_names = vec![uri("https://a.example")];
        }),
        ("another common name", |p| {
            p.distinguished_name = common_name("dev_2");
        }),
        ("an unknown extension", |p| {
            let unknown = CustomExtension::from_oid_content(&[1, 3, 9, 1], vec![5, 0]);
            p.custom_extensions.push(unknown);
        }),
        ("60 KiB", |p| {
            let filling = CustomExtension::from_oid_content(&[1, 3, 9, 1], vec![0; 60 * 1024]);
            p.custom_extensions.push(filling);
        }),
    ];
    for (name, twist) in twists {
        let device = authority.forge("dev_1", twist);
        let verdict = stock(&authority).verify_client_cert(device.leaf(), &[], unix(NOW));
        assert!(verdict.is_ok(), "{name}: {verdict:?}");
        let refusal = ours(&authority, &device, NOW).expect_err(name);
        assert!(
            matches!(refusal, Refusal::Profile(_)),
            "{name}: {refusal:?}"
        );
    }
}

/// Why denials are keyed by the TBS hash: the signature's other form is as good.
#[test]
fn the_stock_verifier_accepts_high_s() {
    let authority = Authority::new();
    let device = authority.device("dev_1");
    let leaf = with_signature(device.leaf(), other_s);
    let verdict = stock(&authority).verify_client_cert(&leaf, &[], unix(NOW));
    assert!(verdict.is_ok(), "{verdict:?}");
}

/// Why the CA's validity is ours to check: webpki knows no dates of a trust anchor.
#[test]
fn the_stock_verifier_accepts_a_leaf_under_an_expired_ca() {
    let authority = Authority::valid_for(Duration::days(10));
    let device = authority.forge("dev_1", |_| {});
    let now = NOW + Duration::days(11);
    let verdict = stock(&authority).verify_client_cert(device.leaf(), &[], unix(now));
    assert!(verdict.is_ok(), "{verdict:?}");
    let refusal = ours(&authority, &device, now).expect_err("expired CA");
    assert!(matches!(refusal, Refusal::CaNotValid { .. }));
}

/// Why no intermediates are passed on: the stock verifier goes through as many links as it finds.
#[test]
fn the_stock_verifier_accepts_a_second_link_and_strangers_beside_the_leaf() {
    let root = Authority::new();
    let subordinate = root.subordinate();
    let (device, stranger) = (subordinate.device("dev_1"), Authority::new().der());
    let beside = [stranger, subordinate.der()];
    let verdict = stock(&root).verify_client_cert(device.leaf(), &beside, unix(NOW));
    assert!(verdict.is_ok(), "{verdict:?}");
    for chain in [&beside[..], &beside[1..]] {
        assert!(ours(&root, &device.beside(chain), NOW).is_err());
    }
}

/// What we need not check again, since webpki does: a CA's certificate is no leaf.
#[test]
fn webpki_refuses_a_ca_as_a_leaf() {
    let authority = Authority::new();
    let device = authority.forge("dev_1", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    let verdict = stock(&authority).verify_client_cert(device.leaf(), &[], unix(NOW));
    assert!(verdict.is_err());
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (NOW - Duration::DAY, NOW + Duration::days(900));
    params.distinguished_name = common_name(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn leaf_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (NOW - Duration::DAY, NOW + Duration::days(90));
    params.subject_alt_names = vec![uri("urn:link:tenant:acme:device:dev_1")];
    params
}

/// Verifies by webpki alone, with `beside` for intermediates.
fn webpki_verdict(
    leaf: &CertificateDer<'_>,
    beside: &[CertificateDer<'_>],
    root: &CertificateDer<'_>,
) -> Result<(), webpki::Error> {
    let anchors = [webpki::anchor_from_trusted_cert(root).expect("anchor")];
    let algorithms = provider().signature_verification_algorithms.all;
    let leaf = EndEntityCert::try_from(leaf).expect("leaf");
    let usage = KeyUsage::client_auth();
    let path = leaf.verify_for_usage(algorithms, &anchors, beside, unix(NOW), usage, None, None);
    path.map(drop)
}

/// Why a CA with constraints on URIs is refused at its upload: no device of it would get in.
#[test]
fn webpki_refuses_every_uri_under_a_ca_that_constrains_uris() {
    // GeneralSubtrees: permitted is [0], excluded [1]; a URI is [6].
    let permitted = b"\x30\x0d\xa0\x0b\x30\x09\x86\x07example";
    let excluded = b"\x30\x0d\xa1\x0b\x30\x09\x86\x07example";
    for constraint in [permitted, excluded] {
        let key = KeyPair::generate().expect("key");
        let mut params = authority_params("Constrained");
        let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 30], constraint.to_vec());
        extension.set_criticality(true);
        params.custom_extensions.push(extension);
        let root = params.self_signed(&key).expect("root").der().clone();
        let issuer = Issuer::from_params(&params, &key);
        let leaf = leaf_params().signed_by(&KeyPair::generate().expect("key"), &issuer);
        let verdict = webpki_verdict(leaf.expect("leaf").der(), &[], &root);
        assert_eq!(verdict, Err(webpki::Error::NameConstraintViolation));
    }
}

/// What a mesh of CAs of one name would cost, if it ever reached webpki: a hundred verifications.
#[test]
fn webpki_gives_up_after_a_hundred_signatures() {
    let keys: Vec<KeyPair> = (0..101)
        .map(|_| KeyPair::generate().expect("key"))
        .collect();
    let root_key = KeyPair::generate().expect("key");
    let root_params = authority_params("Root");
    let root = root_params
        .self_signed(&root_key)
        .expect("root")
        .der()
        .clone();
    let mesh: Vec<CertificateDer<'static>> = keys
        .iter()
        .map(|key| {
            let issuer = Issuer::from_params(&root_params, &root_key);
            let certificate = authority_params("Same").signed_by(key, &issuer);
            certificate.expect("certificate").der().clone()
        })
        .collect();
    // Signed by none of them, though it names them all.
    let (same, stranger) = (authority_params("Same"), KeyPair::generate().expect("key"));
    let issuer = Issuer::from_params(&same, &stranger);
    let leaf = leaf_params().signed_by(&KeyPair::generate().expect("key"), &issuer);
    let leaf = leaf.expect("leaf");
    let verdict = webpki_verdict(leaf.der(), &mesh, &root);
    assert_eq!(verdict, Err(webpki::Error::MaximumSignatureChecksExceeded));
    let verdict = webpki_verdict(leaf.der(), &mesh[..40], &root);
    assert_ne!(verdict, Err(webpki::Error::MaximumSignatureChecksExceeded));
}

/// Why `server_config` turns resumption off: rustls' own configuration resumes.
#[test]
fn rustls_resumes_sessions_unless_told_otherwise() {
    let provider = provider();
    let localhost = Localhost::new();
    let key = rustls_pki_types::pem::PemObject::from_pem_slice(localhost.key_pem.as_bytes());
    let config = ServerConfig::builder_with_details(provider, Arc::new(At(NOW)))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![localhost.der.clone()], key.expect("key"))
        .expect("configuration");
    assert!(config.session_storage.can_cache());
    assert_eq!(config.send_tls13_tickets, 2);
    assert_eq!(config.max_early_data_size, 0);
}

/// What a stranger can make us hold before a certificate is looked at: 64 KiB, which rustls limits.
#[tokio::test]
async fn rustls_reads_64_kib_of_certificates_and_no_more() {
    let authority = Authority::new();
    let denylist = denylist([]);
    let refusals = Refusals::default();
    let verifier = DeviceCertVerifier::new(&provider(), authority.trust(), denylist.clone())
        .with_observer(refusals.clone());
    let mut server = Server::start(&Arc::new(verifier), &LiveConnections::new(denylist)).await;
    for (kib, seen_by_us) in [(60, true), (65, false)] {
        let large = authority.forge("dev_1", |params| {
            let filling = CustomExtension::from_oid_content(&[1, 3, 9, 1], vec![0; kib * 1024]);
            params.custom_extensions.push(filling);
        });
        for version in TLS_VERSIONS {
            let (heard, seen) = server.meet(server.client(version, Some(&large))).await;
            assert!(
                heard.is_err() && matches!(seen, Seen::Failed(_)),
                "{seen:?}"
            );
            let told = !std::mem::take(&mut *refusals.0.lock().expect("lock")).is_empty();
            assert_eq!(told, seen_by_us, "{kib} KiB, {version:?}: {seen:?}");
        }
    }
}
