//! The real binary behind load balancers: whose connection it takes one for.

#![allow(clippy::expect_used, reason = "tests")]

mod harness;

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use harness::{Api, Fresh, Platform, Process, embedded_store, key_beside};
use identity_store::{AuditStore as _, Chain, Outcome};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::net::TcpSocket;

/// Where the balancer is. The other clients of this machine are at 127.0.0.1.
const BALANCER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
const BELIEVED: (&str, &str) = ("IDENTITY_PROXY_PROTOCOL", "127.0.0.9,fd00::/8");

/// The header of a client at 192.0.2.7, port 4000.
const HEADER: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x01\x0f\xa0\x01\xbb";
/// That of a client at `2001:db8::7`, with something beside the addresses.
const HEADER_V6: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x29\
    \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\
    \x0f\xa0\x01\xbb\x01\0\x02h2";
/// That of a client at `::ffff:192.0.2.8`.
const HEADER_MAPPED: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24\
    \0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x08\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x01\
    \x0f\xa0\x01\xbb";
/// That of a check of the balancer's own.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const HEALTH: &[u8] = b"GET /healthz HTTP/1.0\r\n\r\n";

/// A connection from the balancer's address.
async fn from_balancer(server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((BALANCER, 0).into()).expect("its address");
    let stream = socket.connect(server).await.expect("a connection");
    let stream = stream.into_std().expect("a socket");
    stream.set_nonblocking(false).expect("it blocks");
    stream
}

/// Sends all of it at once, and reads to the end.
fn exchange(mut stream: impl io::Read + io::Write, sent: &[u8]) -> String {
    // The server may refuse before it has read everything.
    let _ = stream.write_all(sent);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// A sign-in that fails, which the audit trail tells with its source.
fn sign_in() -> Vec<u8> {
    sign_in_of("nobody@example.com")
}

fn sign_in_of(email: &str) -> Vec<u8> {
    let body = format!(r#"{{"email":"{email}","password":"wrong"}}"#);
    let head = "POST /v1/auth/login HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: ";
    format!("{head}{}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The sources of the sign-ins that failed, in their order.
async fn sources_of_sign_ins(directory: &Path) -> Vec<String> {
    let database = directory.join("identity.db");
    let store = embedded_store(&database, key_beside(&database)).await;
    store.seal_audit(10_000).await.expect("sealed");
    let rows = store.sealed_audit(&Chain::Platform, 0, 10_000).await;
    let rows = rows.expect("rows").into_iter().map(|sealed| sealed.row);
    let failed = rows.filter(|row| row.action == "login_attempt");
    failed
        .filter(|row| row.outcome == Outcome::Failed)
        .map(|row| row.ip.expect("a source").to_string())
        .collect()
}

/// How many connections came without a header that can be used.
async fn without_header(process: &Process) -> u32 {
    let metrics = Api::plain(process.metrics).get("/metrics").await.text;
    let name = r#"connections_not_accepted_total{reason="proxy_header"} "#;
    let mut lines = metrics.lines();
    let count = lines.find_map(|line| line.strip_prefix(name));
    count.map_or(0, |count| count.parse().expect("a number"))
}

#[tokio::test]
async fn a_client_is_where_its_balancer_says_over_http_and_https() {
    let fresh = Fresh::start(&[BELIEVED]);
    let mut expected = Vec::new();
    for (header, source) in [
        (HEADER, "192.0.2.7"),
        (HEADER_V6, "2001:db8::7"),
        (HEADER_MAPPED, "192.0.2.8"),
        (LOCAL, "127.0.0.9"),
    ] {
        let stream = from_balancer(fresh.process.address).await;
        // One segment: nothing behind the header may be lost.
        let answer = exchange(stream, &[header, &sign_in()].concat());
        assert!(answer.starts_with("HTTP/1.0 401 "), "{answer}");
        expected.push(source);
    }
    assert_eq!(sources_of_sign_ins(fresh.directory.path()).await, expected);

    let platform = Platform::first_run_with(&[BELIEVED]).await;
    let stream = from_balancer(platform.process.address).await;
    let mut tls = tls(&platform);
    let mut first = HEADER_V6.to_vec();
    tls.write_tls(&mut first).expect("a hello");
    (&stream).write_all(&first).expect("all at once");
    let answer = exchange(rustls::Stream::new(&mut tls, &mut &stream), &sign_in());
    assert!(answer.starts_with("HTTP/1.0 401 "), "{answer}");
    let sources = sources_of_sign_ins(platform.directory.path()).await;
    assert_eq!(sources, ["2001:db8::7"]);
}

fn tls(platform: &Platform) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(platform.server_key.root_pem().as_bytes());
    roots.add(root.expect("PEM")).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    ClientConnection::new(Arc::new(config), name).expect("a connection")
}

#[tokio::test]
async fn sign_ins_are_limited_by_client_and_not_by_balancer() {
    let fresh = Fresh::start(&[BELIEVED, ("IDENTITY_RATE_LIMITS", "on")]);
    let is_limited = async |header: &[u8]| {
        let stream = from_balancer(fresh.process.address).await;
        let answer = exchange(stream, &[header, &sign_in_of("nobody")].concat());
        assert!(answer.starts_with("HTTP/1.0 4"), "{answer}");
        answer.starts_with("HTTP/1.0 429 ")
    };
    let mut tries = 1;
    while !is_limited(HEADER).await {
        tries += 1;
        assert!(tries < 1000, "nobody is limited");
    }
    assert!(!is_limited(HEADER_V6).await);
}

#[tokio::test]
async fn a_balancers_connection_without_a_good_header_is_nobodys() {
    let fresh = Fresh::start(&[BELIEVED]);
    let server = fresh.process.address;
    let version_1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 443\r\n";
    let unix = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8"[..], &[0; 216]].concat();
    let long = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"[..], &[0; 600]].concat();
    let refused: [&[u8]; 6] = [
        b"",
        version_1,
        b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0",
        &unix,
        &long,
        // It never comes to its end.
        &HEADER[..HEADER.len() - 1],
    ];
    for header in &refused[..refused.len() - 1] {
        let stream = from_balancer(server).await;
        let answer = exchange(stream, &[header, HEALTH].concat());
        assert_eq!(answer, "", "{header:?}");
    }
    let stream = from_balancer(server).await;
    assert_eq!(exchange(stream, refused[refused.len() - 1]), "");
    let count = u32::try_from(refused.len()).expect("few");
    assert_eq!(without_header(&fresh.process).await, count);
    let answer = exchange(from_balancer(server).await, &[HEADER, HEALTH].concat());
    assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let platform = Platform::first_run_with(&[BELIEVED]).await;
    let elsewhere = || TcpStream::connect(platform.process.address).expect("a connection");
    // To TLS it is garbage.
    let stream = elsewhere();
    let mut tls = tls(&platform);
    let mut first = HEADER.to_vec();
    tls.write_tls(&mut first).expect("a hello");
    (&stream).write_all(&first).expect("all at once");
    let answer = exchange(rustls::Stream::new(&mut tls, &mut &stream), HEALTH);
    assert_eq!(answer, "");
    assert_eq!(without_header(&platform.process).await, 0);
    assert_eq!(platform.api().get("/healthz").await.status, 200);

    let fresh = Fresh::start(&[BELIEVED]);
    let stream = TcpStream::connect(fresh.process.address).expect("a connection");
    let answer = exchange(stream, &[HEADER, &sign_in()].concat());
    assert!(!answer.contains(" 401 "), "{answer}");
    // The metrics listener has no balancer in front.
    let stream = from_balancer(fresh.process.metrics).await;
    let answer = exchange(stream, b"GET /readyz HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
}
