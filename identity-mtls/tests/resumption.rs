//! A resumed session skips the check of the client certificate, so there is none: a device revoked
//! after its first handshake cannot come back, whatever it kept from before.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod fleet;

use std::sync::Arc;

use fleet::certificates::{Authority, Credentials};
use fleet::network::{Localhost, Seen, Server, TLS_VERSIONS, alert, client};
use fleet::{denylist, identity, verifier};
use identity_mtls::{LiveConnections, Refusal};
use rustls::server::ServerSessionMemoryCache;
use rustls::{
    AlertDescription, ClientConfig, HandshakeKind, RootCertStore, ServerConfig,
    SupportedProtocolVersion,
};

/// What rustls does when nobody turns it off, so that the client has a session to resume.
fn resuming(config: Arc<ServerConfig>) -> Arc<ServerConfig> {
    let mut config = ServerConfig::clone(&config);
    config.session_storage = ServerSessionMemoryCache::new(16);
    config.send_tls13_tickets = 2;
    Arc::new(config)
}

struct Story {
    authority: Authority,
    device: Credentials,
    denylist: Arc<identity_mtls::Denylist>,
}

impl Story {
    fn begin() -> Self {
        let authority = Authority::new();
        Self {
            device: authority.device("dev_1"),
            denylist: denylist([]),
            authority,
        }
    }

    async fn server(&self, change: impl FnOnce(Arc<ServerConfig>) -> Arc<ServerConfig>) -> Server {
        let live = LiveConnections::new(Arc::clone(&self.denylist));
        Server::start_with(&verifier(&self.authority, &self.denylist), &live, change).await
    }

    fn revoke(&self) {
        self.denylist.add([self.device.certificate().tbs_sha256()]);
    }
}

/// The server fails the handshake, and the client gets `expected`.
async fn assert_refused(
    version: &SupportedProtocolVersion,
    server: &mut Server,
    client: &Arc<ClientConfig>,
    expected: AlertDescription,
) {
    let heard = server.call(client).await;
    let seen = server.seen().await;
    assert!(matches!(seen, Seen::Failed(_)), "{version:?}: {seen:?}");
    assert_eq!(alert(heard), expected, "{version:?}");
}

async fn comes_back(version: &'static SupportedProtocolVersion) {
    let story = Story::begin();
    let mut server = story.server(|config| config).await;
    // One client configuration keeps its sessions and tickets across connections.
    let client = Arc::new(server.client(version, Some(&story.device)));
    for _ in 0..2 {
        let heard = server.call(&client).await.expect("served");
        assert_eq!(heard, identity("dev_1").san_uri());
        let seen = server.seen().await;
        assert!(
            matches!(
                seen,
                Seen::Served {
                    kind: Some(HandshakeKind::Full),
                    ..
                }
            ),
            "{version:?}: {seen:?}"
        );
    }

    story.revoke();
    assert_refused(
        version,
        &mut server,
        &client,
        AlertDescription::CertificateRevoked,
    )
    .await;
}

#[tokio::test]
async fn a_revoked_device_cannot_resume_its_session() {
    for version in TLS_VERSIONS {
        comes_back(version).await;
    }
}

/// The control: with rustls' defaults the same client does resume, and the server's verifier is not
/// asked. The look after the handshake refuses it nevertheless.
#[tokio::test]
async fn a_session_resumed_under_another_configuration_is_refused_after_the_handshake() {
    for version in TLS_VERSIONS {
        let story = Story::begin();
        let mut server = story.server(resuming).await;
        let client = Arc::new(server.client(version, Some(&story.device)));
        server.call(&client).await.expect("served");
        assert!(matches!(server.seen().await, Seen::Served { .. }));

        story.revoke();
        server.call(&client).await.expect_err("closed unanswered");
        let seen = server.seen().await;
        assert!(
            matches!(seen, Seen::Refused(Refusal::Resumed)),
            "{version:?}: {seen:?}"
        );
    }
}

#[tokio::test]
async fn a_ticket_from_an_earlier_server_brings_nobody_back() {
    for version in TLS_VERSIONS {
        let story = Story::begin();
        let mut earlier = story.server(resuming).await;
        let mut server = story.server(|config| config).await;
        // The client takes both for the one `localhost`, so it offers the session of the first to
        // the second. It trusts the certificates of both.
        let client = server.client(version, Some(&story.device));
        earlier.certificates.replace(server.localhost.cert());
        let client = Arc::new(client);
        earlier.call(&client).await.expect("served");
        assert!(matches!(earlier.seen().await, Seen::Served { .. }));

        story.revoke();
        assert_refused(
            version,
            &mut server,
            &client,
            AlertDescription::CertificateRevoked,
        )
        .await;
    }
}

#[tokio::test]
async fn a_ticket_from_before_a_change_of_the_ca_brings_nobody_back() {
    for version in TLS_VERSIONS {
        let story = Story::begin();
        let mut earlier = story.server(resuming).await;
        let next = Authority::new();
        let live = LiveConnections::new(Arc::clone(&story.denylist));
        let mut server = Server::start(&verifier(&next, &story.denylist), &live).await;
        let client = Arc::new(server.client(version, Some(&story.device)));
        earlier.certificates.replace(server.localhost.cert());
        earlier.call(&client).await.expect("served");
        assert!(matches!(earlier.seen().await, Seen::Served { .. }));

        assert_refused(version, &mut server, &client, AlertDescription::UnknownCA).await;
    }
}

#[tokio::test]
async fn a_revoked_device_cannot_resume_its_session_after_a_reload_of_the_server_certificate() {
    for version in TLS_VERSIONS {
        let story = Story::begin();
        let live = LiveConnections::new(Arc::clone(&story.denylist));
        let verifier = verifier(&story.authority, &story.denylist);
        let mut server = Server::start(&verifier, &live).await;
        let renewed = Localhost::new();
        // The client trusts both certificates, so that it is the session that is tried.
        let mut roots = RootCertStore::empty();
        for der in [&server.localhost.der, &renewed.der] {
            roots.add(der.clone()).expect("root");
        }
        let client = Arc::new(client(version, Some(&story.device), roots));
        server.call(&client).await.expect("served");
        assert!(matches!(server.seen().await, Seen::Served { .. }));

        server.certificates.replace(renewed.cert());
        story.revoke();
        assert_refused(
            version,
            &mut server,
            &client,
            AlertDescription::CertificateRevoked,
        )
        .await;
    }
}
