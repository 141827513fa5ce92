//! The server's own certificate: what is refused, and replacing it while clients come and go.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod fleet;

use std::sync::Arc;

use fleet::certificates::Authority;
use fleet::network::{Localhost, Server, TLS_VERSIONS, client, read_line};
use fleet::{NOW, denylist, provider, verifier};
use identity_mtls::{Error, LiveConnections, ServerCert};
use rustls::RootCertStore;
use time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

fn join(certificate: &Localhost, key_pem: &str) -> Result<ServerCert, Error> {
    ServerCert::new(&provider(), &certificate.facts(), key_pem, NOW)
}

#[test]
fn certificate_and_key_must_belong_together() {
    let (one, other) = (Localhost::new(), Localhost::new());
    let joined = join(&one, &one.key_pem).expect("a pair");
    assert_eq!(joined.fingerprint(), one.facts().fingerprint());
    assert_eq!(joined.not_after(), one.facts().not_after());
    assert!(!format!("{joined:?}").contains("key"), "{joined:?}");

    let error = join(&one, &other.key_pem).expect_err("another key");
    let fingerprint = one.facts().fingerprint();
    assert!(matches!(error, Error::CertKeyMismatch { fingerprint: found } if found == fingerprint));
}

#[test]
fn the_key_is_one_readable_pem_block() {
    let localhost = Localhost::new();
    let twice = format!("{0}{0}", localhost.key_pem);
    let encrypted = localhost
        .key_pem
        .replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let headers = "PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00";
    let before = localhost.key_pem.replacen("PRIVATE KEY-----", headers, 1);
    for pem in [&encrypted, &before] {
        let error = join(&localhost, pem).expect_err(pem);
        assert!(matches!(error, Error::KeyEncrypted), "{pem}: {error:?}");
    }
    let cut: String = localhost.key_pem.lines().take(2).collect();
    for pem in ["", "no PEM", &localhost.cert_pem, &twice, &cut] {
        let error = join(&localhost, pem).expect_err(pem);
        assert!(matches!(error, Error::KeyPem), "{pem}: {error:?}");
    }
    let garbage = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let error = join(&localhost, garbage).expect_err("no key inside");
    assert!(matches!(error, Error::KeyUnsupported(_)), "{error:?}");
}

#[test]
fn the_certificate_must_be_valid_now() {
    let expired = Localhost::valid(NOW - Duration::days(2), NOW - Duration::days(1));
    let error = join(&expired, &expired.key_pem).expect_err("expired");
    let yesterday = NOW - Duration::days(1);
    assert!(
        matches!(error, Error::Expired { not_after, now } if (not_after, now) == (yesterday, NOW))
    );

    let early = Localhost::valid(NOW + Duration::days(1), NOW + Duration::days(2));
    let error = join(&early, &early.key_pem).expect_err("not yet valid");
    assert!(matches!(error, Error::NotYetValid { .. }), "{error:?}");
}

#[tokio::test]
async fn a_new_certificate_fails_no_handshake_and_drops_no_connection() {
    let authority = Authority::new();
    let device = authority.device("dev_1");
    let denylist = denylist([]);
    let live = LiveConnections::new(Arc::clone(&denylist));
    let server = Server::start(&verifier(&authority, &denylist), &live).await;
    let next = Localhost::new();
    let mut roots = RootCertStore::empty();
    for root in [&server.localhost.der, &next.der] {
        roots.add(root.clone()).expect("root");
    }
    let clients =
        TLS_VERSIONS.map(|version| Arc::new(client(version, Some(&device), roots.clone())));

    let mut from_before = server.open(&clients[1]).await.expect("connected");
    read_line(&mut from_before).await.expect("served");
    let served = |tls: &tokio_rustls::client::TlsStream<tokio::net::TcpStream>| {
        tls.get_ref()
            .1
            .peer_certificates()
            .map(|chain| chain[0].clone())
    };
    assert_eq!(served(&from_before).as_ref(), Some(&server.localhost.der));

    for round in 0..20 {
        let client = &clients[round % 2];
        let under_way = async {
            let mut tls = server.open(client).await.expect("handshake");
            read_line(&mut tls).await.expect("served")
        };
        let replace = async {
            let certificate = if round % 4 < 2 {
                next.cert()
            } else {
                server.localhost.cert()
            };
            server.certificates.replace(certificate);
        };
        tokio::join!(under_way, replace);
    }
    server.certificates.replace(next.cert());
    for client in &clients {
        let mut tls = server.open(client).await.expect("handshake");
        read_line(&mut tls).await.expect("served");
        assert_eq!(served(&tls).as_ref(), Some(&next.der));
    }
    // The connection from before is still open: the server takes what it says, and only then ends.
    from_before.write_all(b".").await.expect("open");
    let mut rest = Vec::new();
    from_before
        .read_to_end(&mut rest)
        .await
        .expect("ended in order");
    assert!(rest.is_empty());
    assert_eq!(
        server.certificates.current().fingerprint(),
        next.facts().fingerprint()
    );
}

/// How many handshakes each client of the test below makes, one after the other.
const HANDSHAKES: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_certificates_are_replaced_all_the_time_every_handshake_succeeds() {
    let authority = Authority::new();
    let device = authority.device("dev_1");
    let denylist = denylist([]);
    let live = LiveConnections::new(Arc::clone(&denylist));
    let server = Arc::new(Server::start(&verifier(&authority, &denylist), &live).await);
    let next = Localhost::new();
    let mut roots = RootCertStore::empty();
    for root in [&server.localhost.der, &next.der] {
        roots.add(root.clone()).expect("root");
    }
    let mut clients = JoinSet::new();
    for n in 0..4 {
        let client = Arc::new(client(TLS_VERSIONS[n % 2], Some(&device), roots.clone()));
        let server = Arc::clone(&server);
        clients.spawn(async move {
            for _ in 0..HANDSHAKES {
                server.call(&client).await.expect("served");
            }
        });
    }
    let pair = [next.cert(), server.localhost.cert()];
    let mut replaced = 0;
    while !clients.is_empty() {
        server.certificates.replace(pair[replaced % 2].clone());
        replaced += 1;
        tokio::task::yield_now().await;
        while let Some(ended) = clients.try_join_next() {
            ended.expect("no handshake failed");
        }
    }
    assert!(replaced > HANDSHAKES, "{replaced}");
}
