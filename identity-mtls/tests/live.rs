//! Connections that are open when their device stops being one.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod fleet;

use std::sync::Arc;

use fleet::certificates::{Authority, Credentials};
use fleet::network::{Server, TLS_VERSIONS, read_line};
use fleet::{NOW, denylist, identity, provider, trust, verifier};
use identity_mtls::{
    Denylist, LiveConnection, LiveConnections, PresentedChain, TrustBundle, VerifiedDevice, decide,
};
use identity_pki::Terms;
use time::{Duration, OffsetDateTime};
use tokio::io::AsyncReadExt;

/// `credentials` after the decision.
fn verified(
    authority: &Authority,
    credentials: &Credentials,
    denylist: &Denylist,
) -> VerifiedDevice {
    verified_by(&authority.trust(), credentials, denylist)
}

fn verified_by(
    trust: &TrustBundle,
    credentials: &Credentials,
    denylist: &Denylist,
) -> VerifiedDevice {
    let chain = PresentedChain::new(credentials.leaf(), &[]).expect("short");
    let algorithms = provider().signature_verification_algorithms;
    let snapshot = denylist.snapshot();
    decide(&chain, NOW, trust, snapshot.as_deref(), &algorithms).expect("accepted")
}

#[tokio::test]
async fn a_revocation_ends_the_open_connections_of_its_device_alone() {
    let authority = Authority::new();
    let (revoked, other) = (authority.device("dev_1"), authority.device("dev_2"));
    let denylist = denylist([]);
    let live = LiveConnections::new(Arc::clone(&denylist));
    let verifier = verifier(&authority, &denylist);
    let mut server = Server::start(&verifier, &live).await;

    let mut ending = Vec::new();
    for version in TLS_VERSIONS {
        let client = Arc::new(server.client(version, Some(&revoked)));
        let mut tls = server.open(&client).await.expect("connected");
        assert_eq!(
            read_line(&mut tls).await.expect("served"),
            identity("dev_1").san_uri()
        );
        server.seen().await;
        ending.push(tls);
    }
    let client = Arc::new(server.client(TLS_VERSIONS[1], Some(&other)));
    let mut staying = server.open(&client).await.expect("connected");
    read_line(&mut staying).await.expect("served");
    server.seen().await;
    assert_eq!(live.len(), 3);

    denylist.add([revoked.certificate().tbs_sha256()]);
    assert_eq!(live.re_decide(NOW, verifier.trust()), 2);
    assert_eq!(live.re_decide(NOW, verifier.trust()), 0, "told once");
    for mut tls in ending {
        let mut rest = Vec::new();
        // An end without close_notify would be an error.
        tls.read_to_end(&mut rest).await.expect("closed in order");
        assert!(rest.is_empty());
    }
    let client = Arc::new(server.client(TLS_VERSIONS[1], Some(&other)));
    assert_eq!(
        server.call(&client).await.expect("served"),
        identity("dev_2").san_uri()
    );
    drop(staying);
}

#[tokio::test]
async fn close_where_closes_what_it_picks() {
    let authority = Authority::new();
    let denylist = denylist([]);
    let live = LiveConnections::new(Arc::clone(&denylist));
    let devices =
        ["dev_1", "dev_2"].map(|id| verified(&authority, &authority.device(id), &denylist));
    let [one, two] = devices.map(|device| live.register(device));

    let picked = identity("dev_1");
    for open in [1, 0] {
        assert_eq!(
            live.count_where(|device| *device.identity() == picked),
            open
        );
        assert_eq!(
            live.close_where(|device| *device.identity() == picked),
            open
        );
    }
    assert!(one.is_closed());
    one.closed().await;
    assert!(!two.is_closed());
    assert_eq!(live.len(), 2, "registered until the guard is dropped");
    drop(one);
    assert_eq!(live.len(), 1);
    drop(two);
    assert!(live.is_empty());
}

#[tokio::test]
async fn a_device_revoked_between_handshake_and_registration_is_closed_at_once() {
    let authority = Authority::new();
    let denylist = denylist([]);
    let live = LiveConnections::new(Arc::clone(&denylist));
    let device = verified(&authority, &authority.device("dev_1"), &denylist);
    denylist.add([device.tbs_sha256()]);
    assert_eq!(
        live.re_decide(NOW, &authority.trust()),
        0,
        "not registered yet"
    );
    let guard = live.register(device);
    assert!(guard.is_closed());
    guard.closed().await;
}

#[test]
fn expiry_and_a_ca_that_is_no_longer_trusted_close_too() {
    let authority = Authority::new();
    let denylist = denylist([]);
    let live = LiveConnections::new(Arc::clone(&denylist));
    let credentials = authority.device("dev_1");
    let trusted = authority.trust();

    let guard = live.register(verified(&authority, &credentials, &denylist));
    let last = credentials.certificate().not_after();
    caught_up(&denylist, last);
    assert_eq!(live.re_decide(last, &trusted), 0);
    assert_eq!(live.re_decide(last + Duration::SECOND, &trusted), 1);
    drop(guard);

    caught_up(&denylist, NOW);
    let guard = live.register(verified(&authority, &credentials, &denylist));
    assert_eq!(
        live.re_decide(NOW, &trust(&[&Authority::new(), &authority])),
        0
    );
    assert_eq!(live.re_decide(NOW, &trust(&[&Authority::new()])), 1);
    assert!(guard.is_closed());
}

#[test]
fn a_denylist_beyond_its_age_limit_closes_all() {
    let authority = Authority::new();
    let denylist = denylist([]);
    let live = LiveConnections::new(Arc::clone(&denylist));
    let trusted = authority.trust();
    let guard = live.register(verified(&authority, &authority.device("dev_1"), &denylist));

    let late = NOW + Duration::hours(2);
    caught_up(&denylist, late);
    assert_eq!(live.re_decide(late, &trusted), 0);
    assert_eq!(live.re_decide(late + Duration::hours(2), &trusted), 1);
    assert!(guard.is_closed());
}

/// Nothing was denied up to `now`.
fn caught_up(denylist: &Denylist, now: OffsetDateTime) {
    let catch_up = denylist.begin_catch_up(now).expect("published");
    catch_up.publish([]);
}

#[test]
fn the_registry_knows_which_connection_expires_next() {
    let authority = Authority::new();
    let denylist = denylist([]);
    let live = LiveConnections::new(Arc::clone(&denylist));
    assert_eq!(live.next_expiry(), None);
    let [soon, later, revoked] = [10, 20, 5].map(|days| {
        let terms = Terms::new(NOW, Duration::days(days), Duration::minutes(5));
        verified(&authority, &authority.device_on("dev_1", &terms), &denylist)
    });
    let guards = [&later, &soon, &revoked].map(|device| live.register(device.clone()));
    assert_eq!(live.next_expiry(), Some(revoked.expires_at()));
    assert_eq!(live.close_where(|device| *device == revoked), 1);
    assert_eq!(
        live.next_expiry(),
        Some(soon.expires_at()),
        "that one was told"
    );

    let last = soon.expires_at();
    assert_eq!(last, soon.not_after());
    assert_eq!(live.close_expired(last), 0, "its last moment");
    assert_eq!(live.close_expired(last + Duration::SECOND), 1);
    assert_eq!(
        guards.each_ref().map(LiveConnection::is_closed),
        [false, true, true]
    );
    assert_eq!(live.next_expiry(), Some(later.expires_at()));
    drop(guards);
    assert_eq!(live.next_expiry(), None);
}

#[test]
fn a_device_expires_with_its_ca_at_the_latest() {
    let authority = Authority::valid_for(Duration::days(30));
    let credentials = authority.forge("dev_1", |leaf| leaf.not_after = NOW + Duration::days(90));
    let device = verified(&authority, &credentials, &denylist([]));
    assert_eq!(device.not_after(), NOW + Duration::days(90));
    assert_eq!(device.expires_at(), authority.ca.certificate().not_after());
}

#[test]
fn a_connection_outlives_the_ca_certificate_that_another_under_the_same_key_replaces() {
    let authority = Authority::named("Same");
    let credentials = authority.forge("dev_1", |_| {});
    let last = NOW + Duration::days(10);
    let old = authority.renewed("Same", |ca| ca.not_after = last);
    let renewed = authority.renewed("Same", |_| {});
    let both = TrustBundle::new([old, renewed]).expect("bundle");
    let denylist = denylist([]);
    let live = LiveConnections::new(Arc::clone(&denylist));
    let device = verified_by(&both, &credentials, &denylist);
    let guard = live.register(device.clone());

    let after = last + Duration::SECOND;
    caught_up(&denylist, after);
    assert_eq!(live.close_expired(after), 0);
    assert_eq!(live.re_decide(after, &both), 0);
    assert_eq!(live.next_expiry(), Some(device.not_after()));
    assert!(!guard.is_closed());
}
