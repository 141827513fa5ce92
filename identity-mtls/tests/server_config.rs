//! The settings of the TLS configuration that nothing else may change.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod fleet;

use std::sync::Arc;

use fleet::certificates::Authority;
use fleet::network::{At, Localhost, client};
use fleet::{NOW, denylist, provider, verifier};
use identity_mtls::{DeviceCertVerifier, Error, Refusal, ServerCertStore, server_config};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConnection, HandshakeKind, RootCertStore, ServerConfig, ServerConnection};
use rustls_pki_types::ServerName;

fn config(
    provider: CryptoProvider,
    devices: &Arc<DeviceCertVerifier>,
) -> Result<Arc<ServerConfig>, Error> {
    let certificates = Arc::new(ServerCertStore::new(Localhost::new().cert()));
    let clock = Arc::new(At(NOW));
    server_config(Arc::new(provider), clock, certificates, Arc::clone(devices))
}

#[test]
fn nothing_is_kept_that_could_resume_a_session() {
    let devices = verifier(&Authority::new(), &denylist([]));
    let config = config(CryptoProvider::clone(&provider()), &devices).expect("config");
    assert!(!config.session_storage.can_cache());
    assert!(!config.session_storage.put(vec![1], vec![2]));
    assert!(!config.ticketer.enabled());
    assert_eq!(
        (config.send_tls13_tickets, config.max_tls13_tickets),
        (0, 0)
    );
    assert_eq!(config.max_early_data_size, 0);
    assert!(!config.send_half_rtt_data);
    assert!(!config.enable_secret_extraction);
    assert!(config.cert_decompressors.is_empty());
    assert_eq!(config.alpn_protocols, [&b"h2"[..], b"http/1.1"]);
}

#[test]
fn nobody_is_known_before_the_handshake_is_over() {
    let devices = verifier(&Authority::new(), &denylist([]));
    let config = config(CryptoProvider::clone(&provider()), &devices).expect("config");
    let mut server = ServerConnection::new(config).expect("connection");
    assert_eq!(devices.device(&server, NOW), Err(Refusal::Handshaking));

    // After the first flight the connection looks like that of a client without a certificate.
    let client = client(&rustls::version::TLS13, None, RootCertStore::empty());
    let name = ServerName::try_from("localhost").expect("name");
    let mut client = ClientConnection::new(Arc::new(client), name).expect("connection");
    let mut flight = Vec::new();
    client.write_tls(&mut flight).expect("client hello");
    server
        .read_tls(&mut flight.as_slice())
        .expect("client hello");
    server.process_new_packets().expect("client hello");
    assert_eq!(server.handshake_kind(), Some(HandshakeKind::Full));
    assert_eq!(server.peer_certificates(), None);
    assert_eq!(devices.device(&server, NOW), Err(Refusal::Handshaking));
}

#[test]
fn a_provider_without_cipher_suites_is_refused() {
    let devices = verifier(&Authority::new(), &denylist([]));
    let mut unable = CryptoProvider::clone(&provider());
    unable.cipher_suites.clear();
    let refusal = config(unable, &devices).expect_err("no suites");
    assert!(matches!(refusal, Error::Protocol(_)), "{refusal:?}");
}
