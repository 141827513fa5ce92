//! How the connection of a revoked device ends: in order, after the answers on their way, over
//! HTTP/1.1 and HTTP/2, TLS 1.2 and 1.3. What counts is what the client reads.
#![cfg(all(feature = "acceptor", feature = "tower"))]
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod fleet;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use fleet::certificates::{Authority, Credentials};
use fleet::network::{Localhost, TLS_VERSIONS, client, device_tls};
use fleet::{NOW, denylist, verifier};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use identity_mtls::tower::DeviceIdentityLayer;
use identity_mtls::{
    Accepted, Denylist, DeviceAcceptor, HandshakeLimits, LiveConnections, ServerCertStore,
};
use rustls::{RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_layer::Layer;

/// A server with one route, a device, and what revokes it.
struct World {
    authority: Authority,
    device: Credentials,
    denylist: Arc<Denylist>,
    live: LiveConnections,
    localhost: Localhost,
    address: SocketAddr,
}

impl World {
    async fn start() -> Self {
        let (authority, denylist) = (Authority::new(), denylist([]));
        let live = LiveConnections::new(Arc::clone(&denylist));
        let localhost = Localhost::new();
        let certificates = Arc::new(ServerCertStore::new(localhost.cert()));
        let tls = device_tls(certificates, &verifier(&authority, &denylist));
        let acceptor = DeviceAcceptor::new(tls, live.clone(), HandshakeLimits::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        tokio::spawn(async move {
            while let Ok((tcp, peer)) = listener.accept().await {
                let accepted = acceptor.accept(tcp, peer.ip()).await;
                tokio::spawn(serve(accepted.expect("an honest handshake")));
            }
        });
        Self {
            device: authority.device("dev_1"),
            authority,
            denylist,
            live,
            localhost,
            address,
        }
    }

    async fn connect(
        &self,
        version: &'static SupportedProtocolVersion,
        alpn: &str,
    ) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.localhost.der.clone()).expect("root");
        let mut client = client(version, Some(&self.device), roots);
        client.alpn_protocols = vec![alpn.into()];
        let tcp = TcpStream::connect(self.address).await.expect("TCP");
        let name = ServerName::try_from("localhost").expect("name");
        let connector = TlsConnector::from(Arc::new(client));
        connector.connect(name, tcp).await.expect("TLS")
    }

    /// Revokes the device; returns how many connections were told.
    fn revoke(&self) -> usize {
        self.denylist.add([self.device.certificate().tbs_sha256()]);
        self.live.re_decide(NOW, &self.authority.trust())
    }
}

/// As the crate's front page has it.
async fn serve(accepted: Accepted<TcpStream>) {
    let routes = Router::new().route("/", get(async || "served"));
    let routes = DeviceIdentityLayer::new(accepted.device).layer(routes);
    let http = auto::Builder::new(TokioExecutor::new());
    let stream = TokioIo::new(accepted.stream);
    let connection = http.serve_connection(stream, TowerToHyperService::new(routes));
    let mut connection = std::pin::pin!(connection);
    let live = accepted.live.expect("a device");
    tokio::select! {
        _ = connection.as_mut() => return,
        () = live.closed() => connection.as_mut().graceful_shutdown(),
    }
    connection.await.expect("ended in order");
}

#[tokio::test]
async fn over_http_1_the_connection_of_a_revoked_device_ends_with_close_notify() {
    for version in TLS_VERSIONS {
        let world = World::start().await;
        let mut tls = world.connect(version, "http/1.1").await;
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        tls.write_all(request).await.expect("open");
        let mut answer = Vec::new();
        while !answer.ends_with(b"served") {
            answer.push(tls.read_u8().await.expect("an answer"));
        }
        assert_eq!(world.revoke(), 1);
        let mut rest = Vec::new();
        // TCP's end without close_notify would be an error.
        tls.read_to_end(&mut rest).await.expect("close_notify");
        assert!(rest.is_empty(), "{version:?}: {rest:?}");
    }
}

/// An HTTP/2 frame (RFC 9113 §4.1).
#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    payload: Vec<u8>,
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET https://localhost/`, by the static table (RFC 7541, appendix A).
const REQUEST: &[u8] = b"\x82\x87\x84\x41\x09localhost";

async fn write(tls: &mut TlsStream<TcpStream>, kind: u8, flags: u8, stream: u8, payload: &[u8]) {
    let length = u8::try_from(payload.len()).expect("short");
    let head = [0, 0, length, kind, flags, 0, 0, 0, stream];
    let frame = [&head, payload].concat();
    // Whether it still arrives is the test's question elsewhere.
    let _ = tls.write_all(&frame).await;
}

/// The next frame, after the answers that the protocol owes; `None` at an end with `close_notify`.
async fn next(tls: &mut TlsStream<TcpStream>) -> Option<Frame> {
    let mut head = [0; 9];
    match tls
        .read(&mut head[..1])
        .await
        .expect("no end without close_notify")
    {
        0 => return None,
        _ => tls.read_exact(&mut head[1..]).await.expect("a frame"),
    };
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    tls.read_exact(&mut payload).await.expect("a frame");
    let (kind, flags) = (head[3], head[4]);
    match kind {
        SETTINGS if flags & ACK == 0 => write(tls, SETTINGS, ACK, 0, &[]).await,
        PING if flags & ACK == 0 => write(tls, PING, ACK, 0, &payload).await,
        _ => {}
    }
    Some(Frame {
        kind,
        flags,
        payload,
    })
}

#[tokio::test]
async fn over_http_2_the_connection_of_a_revoked_device_ends_with_goaway_and_close_notify() {
    for version in TLS_VERSIONS {
        let world = World::start().await;
        let mut tls = world.connect(version, "h2").await;
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        tls.write_all(preface).await.expect("open");
        write(&mut tls, SETTINGS, 0, 0, &[]).await;
        write(&mut tls, HEADERS, END_STREAM | END_HEADERS, 1, REQUEST).await;
        let answer = loop {
            let frame = next(&mut tls).await.expect("open");
            assert_ne!(frame.kind, GOAWAY);
            if frame.kind == DATA {
                break frame;
            }
        };
        assert_eq!(answer.payload, b"served");
        assert_ne!(answer.flags & END_STREAM, 0);

        assert_eq!(world.revoke(), 1);
        let mut last_goaway = None;
        while let Some(frame) = next(&mut tls).await {
            if frame.kind == GOAWAY {
                last_goaway = Some(frame.payload);
            }
        }
        // The last stream that was answered, and NO_ERROR (RFC 9113 §6.8).
        assert_eq!(
            last_goaway.as_deref(),
            Some(&[0, 0, 0, 1, 0, 0, 0, 0][..]),
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn a_client_library_is_told_that_the_connection_is_over_and_not_that_it_broke() {
    use hyper::client::conn::{http1, http2};
    for version in TLS_VERSIONS {
        let world = World::start().await;
        let request = || {
            let body = http_body_util::Empty::<axum::body::Bytes>::new();
            http::Request::get("https://localhost/")
                .body(body)
                .expect("a request")
        };

        let tls = TokioIo::new(world.connect(version, "http/1.1").await);
        let (mut one, connection) = http1::handshake(tls).await.expect("HTTP/1.1");
        let one_ends = tokio::spawn(connection);
        assert_eq!(
            one.send_request(request()).await.expect("served").status(),
            200
        );
        let tls = TokioIo::new(world.connect(version, "h2").await);
        let (mut two, connection) = http2::handshake(TokioExecutor::new(), tls)
            .await
            .expect("HTTP/2");
        let two_ends = tokio::spawn(connection);
        assert_eq!(
            two.send_request(request()).await.expect("served").status(),
            200
        );

        assert_eq!(world.revoke(), 2);
        one_ends
            .await
            .expect("no panic")
            .expect("HTTP/1.1: in order");
        two_ends.await.expect("no panic").expect("HTTP/2: in order");
        assert!(one.send_request(request()).await.is_err());
        assert!(two.send_request(request()).await.is_err());
    }
}
