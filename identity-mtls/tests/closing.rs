//! How the connection of a revoked device ends, over HTTP/1.1 and HTTP/2, TLS 1.2 and 1.3: in order,
//! after the answers on their way, and in a second at the latest. What counts is what the client reads.
#![cfg(all(feature = "acceptor", feature = "tower"))]
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod fleet;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::get;
use fleet::certificates::{Authority, Credentials};
use fleet::network::{Localhost, TLS_VERSIONS, client, device_tls};
use fleet::{NOW, denylist, verifier};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
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
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_layer::Layer;

const HEAD_TIME: Duration = Duration::from_secs(10);
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// How the server's side of a connection ended.
#[derive(Debug, PartialEq)]
enum End {
    ByItself,
    InOrder,
    CutOff,
}

/// A server, a device, and what revokes it.
struct World {
    authority: Authority,
    device: Credentials,
    denylist: Arc<Denylist>,
    live: LiveConnections,
    localhost: Localhost,
    address: SocketAddr,
    /// Told when a request arrived that will not end.
    begun: Arc<Notify>,
    ends: mpsc::UnboundedReceiver<End>,
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
        let (tell, ends) = mpsc::unbounded_channel();
        let begun = Arc::new(Notify::new());
        let routes = routes(&begun);
        tokio::spawn(async move {
            while let Ok((tcp, peer)) = listener.accept().await {
                let accepted = acceptor.accept(tcp, peer.ip()).await;
                let accepted = accepted.expect("an honest handshake");
                let (tell, routes) = (tell.clone(), routes.clone());
                tokio::spawn(async move { tell.send(serve(accepted, routes).await) });
            }
        });
        Self {
            device: authority.device("dev_1"),
            authority,
            denylist,
            live,
            localhost,
            address,
            begun,
            ends,
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

/// `/` answers; an upload that stays behind and an answer that nobody reads tell `begun`.
fn routes(begun: &Arc<Notify>) -> Router {
    let (upload, endless) = (Arc::clone(begun), Arc::clone(begun));
    let upload = async move |body: axum::body::Body| {
        upload.notify_one();
        let _ = axum::body::to_bytes(body, usize::MAX).await;
    };
    let endless = async move || {
        endless.notify_one();
        // Far more than the sockets take.
        Bytes::from(vec![0; 64 << 20])
    };
    Router::new()
        .route("/", get(async || "served").post(upload))
        .route("/endless", get(endless))
}

/// As the crate's front page has it.
async fn serve(accepted: Accepted<TcpStream>, routes: Router) -> End {
    let live = accepted.live.expect("a device");
    let routes = DeviceIdentityLayer::new(Some(live.device().clone())).layer(routes);
    let mut http = match accepted.stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => auto::Builder::new(TokioExecutor::new()).http2_only(),
        Some(_) | None => auto::Builder::new(TokioExecutor::new()).http1_only(),
    };
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD_TIME);
    let stream = TokioIo::new(accepted.stream);
    let connection = http.serve_connection(stream, TowerToHyperService::new(routes));
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return End::ByItself,
        () = live.closed() => connection.as_mut().graceful_shutdown(),
    }
    match timeout(CLOSE_TIME, connection).await {
        Ok(ended) => ended.map(|()| End::InOrder).expect("ended in order"),
        Err(_) => End::CutOff,
    }
}

#[tokio::test]
async fn over_http_1_the_connection_of_a_revoked_device_ends_with_close_notify() {
    for version in TLS_VERSIONS {
        let mut world = World::start().await;
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
        assert_eq!(world.ends.recv().await, Some(End::InOrder));
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
/// `POST https://localhost/`.
const UPLOAD: &[u8] = b"\x83\x87\x84\x41\x09localhost";
/// `GET https://localhost/endless`.
const ENDLESS: &[u8] = b"\x82\x87\x44\x08/endless\x41\x09localhost";
/// What a client says first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

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
        let mut world = World::start().await;
        let mut tls = world.connect(version, "h2").await;
        tls.write_all(PREFACE).await.expect("open");
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
        assert_eq!(world.ends.recv().await, Some(End::InOrder));
    }
}

#[tokio::test]
async fn a_revoked_device_does_not_stay_by_a_request_that_it_does_not_end() {
    // Two bytes are announced and one is sent; or the answer is not read.
    let over_http_1: [&[u8]; 2] = [
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n1",
        b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ];
    for version in TLS_VERSIONS {
        for request in over_http_1 {
            let mut world = World::start().await;
            let mut tls = world.connect(version, "http/1.1").await;
            tls.write_all(request).await.expect("open");
            is_cut_off(&mut world, tls).await;
        }
        for (flags, request) in [(0, UPLOAD), (END_STREAM, ENDLESS)] {
            let mut world = World::start().await;
            let mut tls = world.connect(version, "h2").await;
            tls.write_all(PREFACE).await.expect("open");
            write(&mut tls, SETTINGS, 0, 0, &[]).await;
            write(&mut tls, HEADERS, flags | END_HEADERS, 1, request).await;
            is_cut_off(&mut world, tls).await;
        }
    }
}

async fn is_cut_off(world: &mut World, mut tls: TlsStream<TcpStream>) {
    world.begun.notified().await;
    // From here on time passes when nothing else happens.
    tokio::time::pause();
    assert_eq!(world.revoke(), 1);
    let end = timeout(10 * CLOSE_TIME, world.ends.recv()).await;
    assert_eq!(end.expect("an end"), Some(End::CutOff));
    // An end, or an error: what counts is that there is nothing to wait for.
    let _ = tls.read_to_end(&mut Vec::new()).await;
    tokio::time::resume();
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
