//! Who gets through a handshake over real TLS, on both versions, and with which alert the others
//! leave. In TLS 1.3 a client's handshake succeeds before the server has judged its certificate, so
//! the tests look at what the server read.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod fleet;

use std::sync::Arc;

use fleet::certificates::{Authority, Credentials, other_s, with_signature};
use fleet::network::{Seen, Server, TLS_VERSIONS, alert};
use fleet::{Refusals, denylist, identity, provider, trust, verifier};
use identity_mtls::{Denylist, DeviceCertVerifier, LiveConnections, Refusal, TrustBundle};
use rustls::{AlertDescription, CertificateError};
use time::Duration;

async fn server(authority: &Authority, denylist: &Arc<Denylist>) -> Server {
    let live = LiveConnections::new(Arc::clone(denylist));
    Server::start(&verifier(authority, denylist), &live).await
}

/// Shows `credentials` on both versions; each time the server must fail the handshake, reading
/// nothing, and the client must get `expected`.
async fn assert_refused(
    server: &mut Server,
    credentials: &Credentials,
    expected: AlertDescription,
) {
    for version in TLS_VERSIONS {
        let (heard, seen) = server.meet(server.client(version, Some(credentials))).await;
        assert!(matches!(seen, Seen::Failed(_)), "{version:?}: {seen:?}");
        assert_eq!(alert(heard), expected, "{version:?}");
    }
}

#[tokio::test]
async fn an_honest_device_is_known_by_its_identity_over_both_versions_and_protocols() {
    let authority = Authority::new();
    let device = authority.device("dev_1");
    let mut server = server(&authority, &denylist([])).await;
    for version in TLS_VERSIONS {
        for alpn in ["h2", "http/1.1"] {
            let mut client = server.client(version, Some(&device));
            client.alpn_protocols = vec![alpn.into()];
            let (heard, seen) = server.meet(client).await;
            assert_eq!(heard.expect("served"), identity("dev_1").san_uri());
            let Seen::Served {
                device: Some(found),
                version: spoken,
                alpn: agreed,
                ..
            } = seen
            else {
                panic!("{version:?}, {alpn}: {seen:?}");
            };
            assert_eq!(found.tbs_sha256(), device.certificate().tbs_sha256());
            assert_eq!(found.serial(), device.certificate().serial());
            assert_eq!(found.fingerprint(), device.certificate().fingerprint());
            assert_eq!(found.spki_sha256(), device.certificate().spki_sha256());
            assert_eq!(found.not_after(), device.certificate().not_after());
            assert_eq!(found.issuer(), authority.ca.certificate().fingerprint());
            assert_eq!(spoken, Some(version.version));
            assert_eq!(agreed.as_deref(), Some(alpn.as_bytes()));
        }
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_is_served_without_an_identity() {
    let authority = Authority::new();
    let mut server = server(&authority, &denylist([])).await;
    for version in TLS_VERSIONS {
        let (heard, seen) = server.meet(server.client(version, None)).await;
        assert_eq!(heard.expect("served"), "anonymous");
        assert!(
            matches!(seen, Seen::Served { device: None, .. }),
            "{seen:?}"
        );
    }
}

#[tokio::test]
async fn without_a_ca_no_certificate_is_asked_for() {
    let authority = Authority::new();
    let device = authority.device("dev_1");
    let denylist = denylist([]);
    let verifier = DeviceCertVerifier::new(&provider(), TrustBundle::default(), denylist.clone());
    let mut server = Server::start(&Arc::new(verifier), &LiveConnections::new(denylist)).await;
    for version in TLS_VERSIONS {
        let (heard, seen) = server.meet(server.client(version, Some(&device))).await;
        assert_eq!(heard.expect("served"), "anonymous");
        assert!(
            matches!(seen, Seen::Served { device: None, .. }),
            "{seen:?}"
        );
    }
}

#[tokio::test]
async fn a_device_may_send_its_ca_along_and_nothing_else() {
    let authority = Authority::new();
    let device = authority.device("dev_1");
    let mut server = server(&authority, &denylist([])).await;

    for version in TLS_VERSIONS {
        let with_ca = device.beside(&[authority.der()]);
        let (heard, _) = server.meet(server.client(version, Some(&with_ca))).await;
        assert_eq!(heard.expect("served"), identity("dev_1").san_uri());
    }
    let stranger = Authority::new().der();
    let other_device = authority.device("dev_2").leaf().clone();
    for beside in [
        vec![stranger],
        vec![other_device],
        vec![device.leaf().clone()],
        vec![with_signature(&authority.der(), other_s)],
        vec![authority.der(), authority.der()],
    ] {
        let chain = device.beside(&beside);
        assert_refused(&mut server, &chain, AlertDescription::CertificateUnknown).await;
    }
}

#[tokio::test]
async fn only_the_leaf_whose_key_signed_the_handshake_counts() {
    let authority = Authority::new();
    let (mine, theirs) = (authority.device("dev_mine"), authority.device("dev_theirs"));
    let mut server = server(&authority, &denylist([])).await;

    let stolen = mine.presenting(vec![theirs.leaf().clone()]);
    assert_refused(&mut server, &stolen, AlertDescription::DecryptError).await;
    let both = mine.beside(&[theirs.leaf().clone()]);
    assert_refused(&mut server, &both, AlertDescription::CertificateUnknown).await;
}

#[tokio::test]
async fn a_device_of_another_ca_is_refused_until_that_ca_is_trusted() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let device = theirs.device("dev_1");
    let denylist = denylist([]);
    let mut strict = server(&ours, &denylist).await;
    assert_refused(&mut strict, &device, AlertDescription::UnknownCA).await;
    let with_its_ca = device.beside(&[theirs.der()]);
    assert_refused(
        &mut strict,
        &with_its_ca,
        AlertDescription::CertificateUnknown,
    )
    .await;

    let both = DeviceCertVerifier::new(&provider(), trust(&[&ours, &theirs]), denylist.clone());
    let mut server = Server::start(&Arc::new(both), &LiveConnections::new(denylist)).await;
    for version in TLS_VERSIONS {
        let (heard, _) = server.meet(server.client(version, Some(&device))).await;
        assert_eq!(heard.expect("served"), identity("dev_1").san_uri());
    }
}

#[tokio::test]
async fn cas_whose_names_no_handshake_could_list_are_accepted_all_the_same() {
    let name = |n: usize| format!("{n:01000}");
    let many: Vec<_> = (0..70).map(|n| Authority::named(&name(n))).collect();
    let denylist = denylist([]);
    let trust = trust(&many.iter().collect::<Vec<_>>());
    let verifier = DeviceCertVerifier::new(&provider(), trust, denylist.clone());
    let mut server = Server::start(&Arc::new(verifier), &LiveConnections::new(denylist)).await;
    let device = many[69].device("dev_1");
    for version in TLS_VERSIONS {
        let (heard, _) = server.meet(server.client(version, Some(&device))).await;
        assert_eq!(heard.expect("served"), identity("dev_1").san_uri());
    }
}

#[tokio::test]
async fn a_certificate_outside_the_profile_is_refused() {
    let authority = Authority::new();
    let mut server = server(&authority, &denylist([])).await;
    let server_auth = authority.forge("dev_1", |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    assert_refused(
        &mut server,
        &server_auth,
        AlertDescription::CertificateUnknown,
    )
    .await;
}

#[tokio::test]
async fn an_expired_device_is_refused() {
    let authority = Authority::new();
    let expired = authority.forge("dev_1", |params| {
        params.not_after = fleet::NOW - time::Duration::SECOND;
    });
    let mut server = server(&authority, &denylist([])).await;
    assert_refused(&mut server, &expired, AlertDescription::CertificateExpired).await;
}

#[tokio::test]
async fn a_revoked_device_is_refused_however_its_signature_is_rewritten() {
    let authority = Authority::new();
    let device = authority.device("dev_1");
    let denylist = denylist([]);
    let mut server = server(&authority, &denylist).await;
    denylist.add([device.certificate().tbs_sha256()]);
    assert_refused(&mut server, &device, AlertDescription::CertificateRevoked).await;

    let rewritten = device.presenting(vec![with_signature(device.leaf(), other_s)]);
    assert_refused(
        &mut server,
        &rewritten,
        AlertDescription::CertificateUnknown,
    )
    .await;
}

#[tokio::test]
async fn before_the_first_denylist_every_device_is_refused() {
    let authority = Authority::new();
    let device = authority.device("dev_1");
    let denylist = Arc::new(Denylist::new());
    let mut server = server(&authority, &denylist).await;
    assert_refused(&mut server, &device, AlertDescription::UnknownCA).await;

    assert!(denylist.begin_reload(fleet::NOW).publish([]));
    for version in TLS_VERSIONS {
        let (heard, _) = server.meet(server.client(version, Some(&device))).await;
        assert_eq!(heard.expect("served"), identity("dev_1").san_uri());
    }
}

#[tokio::test]
async fn under_a_denylist_beyond_its_age_limit_every_device_is_refused() {
    let authority = Authority::new();
    let device = authority.device("dev_1");
    let denylist = Arc::new(Denylist::new());
    let hours_ago = fleet::NOW - Duration::hours(2);
    assert!(denylist.begin_reload(hours_ago).publish([]));
    let mut server = server(&authority, &denylist).await;
    assert_refused(&mut server, &device, AlertDescription::UnknownCA).await;

    let catch_up = denylist.begin_catch_up(fleet::NOW).expect("published");
    catch_up.publish([]);
    for version in TLS_VERSIONS {
        let (heard, _) = server.meet(server.client(version, Some(&device))).await;
        assert_eq!(heard.expect("served"), identity("dev_1").san_uri());
    }
}

#[tokio::test]
async fn the_observer_learns_which_revoked_device_came() {
    let authority = Authority::new();
    let device = authority.device("dev_1");
    let tbs_sha256 = device.certificate().tbs_sha256();
    let denylist = denylist([tbs_sha256]);
    let refusals = Refusals::default();
    let verifier = DeviceCertVerifier::new(&provider(), authority.trust(), denylist.clone())
        .with_observer(refusals.clone());
    let mut server = Server::start(&Arc::new(verifier), &LiveConnections::new(denylist)).await;

    let client = server.client(TLS_VERSIONS[1], Some(&device));
    let (_, seen) = server.meet(client).await;
    let Seen::Failed(error) = seen else {
        panic!("{seen:?}");
    };
    assert_eq!(error, CertificateError::Revoked.into());
    let expected = Refusal::Denied {
        identity: identity("dev_1"),
        tbs_sha256,
    };
    assert_eq!(*refusals.0.lock().expect("lock"), [expected]);
}

#[tokio::test]
async fn a_device_of_a_p384_ca_is_served_over_both_versions() {
    let authority = Authority::p384();
    let device = authority.device("dev_1");
    let mut server = server(&authority, &denylist([])).await;
    for version in TLS_VERSIONS {
        let (heard, _) = server.meet(server.client(version, Some(&device))).await;
        assert_eq!(heard.expect("served"), identity("dev_1").san_uri());
    }
}
