//! What is not a TLS handshake, or none that may be: other protocols, fragments, and server names. Each
//! case is something that opened or stopped another product once.
#![cfg(feature = "acceptor")]
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod fleet;

use std::sync::Arc;

use fleet::certificates::Authority;
use fleet::network::{Localhost, TLS_VERSIONS, client, device_tls};
use fleet::{denylist, identity, provider, verifier};
use identity_mtls::{
    Accepted, DeviceAcceptor, HandshakeLimits, LiveConnections, NotAccepted, ServerCertStore,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::TlsConnector;

struct World {
    authority: Authority,
    localhost: Localhost,
    acceptor: DeviceAcceptor,
}

impl World {
    fn new() -> Self {
        let (authority, denylist, localhost) = (Authority::new(), denylist([]), Localhost::new());
        let certificates = Arc::new(ServerCertStore::new(localhost.cert()));
        let tls = device_tls(certificates, &verifier(&authority, &denylist));
        let live = LiveConnections::new(denylist);
        Self {
            acceptor: DeviceAcceptor::new(tls, live, HandshakeLimits::default()),
            authority,
            localhost,
        }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.localhost.der.clone()).expect("root");
        roots
    }

    /// What comes of a connection that begins with these chunks and then ends or is silent; and what
    /// the client hears.
    async fn begin(
        &self,
        chunks: &[&[u8]],
        ends: bool,
    ) -> (Result<Accepted<DuplexStream>, NotAccepted>, Vec<u8>) {
        let (ours, mut theirs) = duplex(256 * 1024);
        let speak = async {
            for chunk in chunks {
                // The server may have closed.
                let _ = theirs.write_all(chunk).await;
            }
            if ends {
                let _ = theirs.shutdown().await;
            }
            let mut heard = Vec::new();
            let _ = theirs.read_to_end(&mut heard).await;
            heard
        };
        let source = [192, 0, 2, 1].into();
        tokio::join!(self.acceptor.accept(ours, source), speak)
    }

    /// An honest client's first flight.
    fn client_hello(&self) -> Vec<u8> {
        let device = self.authority.device("dev_1");
        let client = client(TLS_VERSIONS[1], Some(&device), self.roots());
        let name = ServerName::try_from("localhost").expect("name");
        let mut client = ClientConnection::new(Arc::new(client), name).expect("a client");
        let mut flight = Vec::new();
        client.write_tls(&mut flight).expect("a hello");
        flight
    }
}

/// The alerts of RFC 8446 §6, as a record in the clear.
fn is_alert(heard: &[u8]) -> bool {
    matches!(heard, [21, 3, 1..=3, 0, 2, 2, _])
}

#[tokio::test(start_paused = true)]
async fn other_protocols_get_an_alert_at_most() {
    let world = World::new();
    let ssl_2 = [&[0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10][..], &[7; 37]].concat();
    let hello = world.client_hello();
    let after_proxy = [b"PROXY TCP4 192.0.2.9 192.0.2.1 4000 443\r\n", &hello[..]].concat();
    let after_proxy_2 = [
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c12345678\x0f\xa0\x01\xbb",
        &hello[..],
    ]
    .concat();
    for (story, bytes) in [
        (
            "HTTP/1.1",
            &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        ),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("an SSL 2.0 hello", &ssl_2),
        ("a PROXY preamble", &after_proxy),
        ("a PROXY preamble, version 2", &after_proxy_2),
        ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n"),
        (
            "PostgreSQL's SSLRequest",
            &[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f],
        ),
        ("zeros", &[0; 4096]),
        ("ones", &[0xff; 4096]),
        ("application data first", &[23, 3, 3, 0, 5, 1, 2, 3, 4, 5]),
        ("an alert first", &[21, 3, 3, 0, 2, 2, 40]),
    ] {
        let (accepted, heard) = world.begin(&[bytes], true).await;
        let refused = matches!(accepted, Err(NotAccepted::Handshake(_)));
        assert!(refused, "{story}: {accepted:?}");
        assert!(heard.is_empty() || is_alert(&heard), "{story}: {heard:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_ssl_3_hello_is_refused() {
    let world = World::new();
    // As OpenSSL 1.0 would have sent it: SSL 3.0, no extensions, one suite.
    let mut hello = vec![22, 3, 0, 0, 45, 1, 0, 0, 41, 3, 0];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0, 0x0a, 1, 0]);
    let (accepted, heard) = world.begin(&[&hello], true).await;
    assert!(
        matches!(accepted, Err(NotAccepted::Handshake(_))),
        "{accepted:?}"
    );
    assert!(is_alert(&heard), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hello_that_stops_anywhere_has_its_time_and_no_more() {
    let world = World::new();
    let hello = world.client_hello();
    for length in (0..hello.len()).step_by(97) {
        let (accepted, _) = world.begin(&[&hello[..length]], true).await;
        assert!(
            matches!(accepted, Err(NotAccepted::Handshake(_))),
            "{length}: {accepted:?}"
        );
    }
    for length in [0, 1, 5, 9, hello.len() - 1] {
        let (accepted, heard) = world.begin(&[&hello[..length]], false).await;
        assert!(
            matches!(accepted, Err(NotAccepted::TooSlow)),
            "{length}: {accepted:?}"
        );
        assert!(heard.is_empty());
    }
}

/// The handshake message of `record` in records of at most `length` bytes (RFC 8446 §5.1).
fn fragmented(record: &[u8], length: usize) -> Vec<u8> {
    let fragments = record[5..].chunks(length).map(|fragment| {
        let length = u8::try_from(fragment.len()).expect("short");
        [&record[..3], &[0, length], fragment].concat()
    });
    fragments.collect::<Vec<_>>().concat()
}

#[tokio::test(start_paused = true)]
async fn a_hello_in_fragments_is_a_hello_and_one_beyond_64_kib_is_not_put_together() {
    let world = World::new();
    let hello = world.client_hello();
    for length in [1, 2, 7, 255] {
        let (accepted, heard) = world.begin(&[&fragmented(&hello, length)], true).await;
        assert!(
            matches!(accepted, Err(NotAccepted::Handshake(_))),
            "{accepted:?}"
        );
        assert_eq!(heard.first(), Some(&22), "a server hello: {length}");
    }
    // One that says to be of 16 MiB, in fragments.
    let mut endless = vec![22, 3, 1, 0, 0, 1, 0xff, 0xff, 0xff];
    endless.resize(200_000, 0);
    let (accepted, heard) = world.begin(&[&fragmented(&endless, 255)], true).await;
    assert!(
        matches!(accepted, Err(NotAccepted::Handshake(_))),
        "{accepted:?}"
    );
    assert!(heard.is_empty() || is_alert(&heard), "{heard:?}");
}

#[tokio::test]
async fn the_server_name_changes_nothing() {
    let world = World::new();
    let device = world.authority.device("dev_1");
    for version in TLS_VERSIONS {
        for name in [
            "localhost",
            "LOCALHOST",
            "lOcAlHoSt",
            "admin.internal",
            "192.0.2.7",
            "::1",
        ] {
            for credentials in [Some(&device), None] {
                let mut config = client(version, credentials, world.roots());
                let trusting = Arc::new(Trusting(world.localhost.der.clone()));
                config.dangerous().set_certificate_verifier(trusting);
                config.enable_sni = name != "lOcAlHoSt";
                let (ours, theirs) = duplex(64 * 1024);
                let server_name = ServerName::try_from(name).expect("name");
                let connector = TlsConnector::from(Arc::new(config));
                let (accepted, connected) = tokio::join!(
                    world.acceptor.accept(ours, [192, 0, 2, 1].into()),
                    connector.connect(server_name, theirs),
                );
                connected.expect("the same certificate");
                let found = accepted.expect("accepted").live;
                let expected = credentials.map(|_| identity("dev_1"));
                assert_eq!(
                    found.map(|it| it.device().identity().clone()),
                    expected,
                    "{name}"
                );
            }
        }
    }
}

/// Takes this certificate under every name, so that the server's choice is what is tested.
#[derive(Debug)]
struct Trusting(CertificateDer<'static>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        assert_eq!(*end_entity, self.0, "one certificate for every name");
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
