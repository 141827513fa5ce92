//! Connections of the real binary: protocols, silent clients, and the end.

#![allow(clippy::expect_used, reason = "tests")]

mod harness;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use harness::{Api, Exit, Fresh, Platform, Process, Proxy, wrapped};
use http::Version;
use reqwest::Method;

#[tokio::test]
async fn a_client_chooses_its_http_version_by_alpn() {
    let platform = Platform::first_run().await;
    let api = platform.api();
    let answer = api
        .request(Method::GET, "/healthz")
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.version(), Version::HTTP_2);
    let root = reqwest::Certificate::from_pem(platform.server_key.root_pem().as_bytes());
    let client = reqwest::Client::builder()
        .tls_certs_only([root.expect("a root")])
        .http1_only();
    let client = client.no_proxy().build().expect("a client");
    let url = format!("{}/healthz", api.base());
    let answer = client.get(url).send().await.expect("an answer");
    assert_eq!(answer.version(), Version::HTTP_11);
}

#[tokio::test]
async fn silent_clients_keep_nobody_waiting() {
    let platform = Platform::first_run().await;
    let connect = |_| TcpStream::connect(platform.process.address).expect("a connection");
    let silent: Vec<_> = (0..64).map(connect).collect();
    assert_eq!(platform.api().get("/healthz").await.status, 200);
    drop(silent);
}

#[test]
fn the_process_may_have_as_many_connections_as_it_is_allowed_to() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = harness::command(directory.path(), "127.0.0.1:0", &[]);
    let limits = r#"ulimit -S -n 200; ulimit -H -n 3000; exec "$0""#;
    let limited = wrapped(&["/bin/sh", "-c", limits], server);
    let server = Process::run(limited);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.id()));
    let limits = limits.expect("the limits of a process");
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let allowed: Vec<_> = files
        .expect("a line")
        .split_whitespace()
        .skip(3)
        .take(2)
        .collect();
    assert_eq!(allowed, ["3000", "3000"]);
    let warned = server.logged().lines().concat();
    assert!(warned.contains("\"limit\":3000"), "{warned}");
}

#[tokio::test]
async fn plain_http_gets_no_answer_from_the_https_port() {
    let platform = Platform::first_run().await;
    let answer = exchange(
        platform.process.address,
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    assert!(!answer.starts_with("HTTP/"), "{answer}");
}

#[test]
fn headers_beyond_the_limits_are_refused() {
    let fresh = Fresh::start(&[]);
    let large = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "y".repeat(1_000_000)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
        "X: y\r\n".repeat(100)
    );
    for request in [large, many] {
        let answer = exchange(fresh.process.address, request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
}

#[test]
fn a_refusal_reaches_a_client_that_still_sends() {
    let fresh = Fresh::start(&[]);
    let body = "x".repeat(4_000_000);
    let mut stream = TcpStream::connect(fresh.process.address).expect("a connection");
    write!(
        stream,
        "POST /v1/devices HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("all of it is taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[test]
fn a_running_request_is_answered_before_the_end() {
    let fresh = Fresh::start(&[]);
    let body = r#"{"email":"a","password":"b"}"#;
    let (first, rest) = body.split_at(5);
    let mut stream = TcpStream::connect(fresh.process.address).expect("a connection");
    write!(
        stream,
        "POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{first}",
        body.len()
    )
    .expect("the first part is sent");
    // The server is in the midst of the request once it answers another one after it.
    assert!(exchange(fresh.process.address, b"GET /healthz HTTP/1.0\r\n\r\n").contains("200"));
    fresh.process.signal("TERM");
    fresh.process.log_line("stopping");
    stream.write_all(rest.as_bytes()).expect("the rest is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 422 "), "{answer}");
    assert_eq!(fresh.process.exit(), Exit::success());
}

/// Its client thinks the handshake done, and has sent a request behind its last piece.
#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_under_way_is_finished_before_the_end() {
    /// In TLS 1.3 it begins a client's second flight (RFC 8446, appendix D.4).
    const CHANGE_CIPHER_SPEC: &[u8] = &[0x14, 3, 3, 0, 1, 1];
    let platform = Platform::first_run().await;
    let proxy = Proxy::to(platform.process.address).await;
    let held = proxy.hold(CHANGE_CIPHER_SPEC);
    let api = Api::https(proxy.address, &platform.server_key);
    let answer = tokio::spawn(async move { api.get("/healthz").await.status });
    while held.hits() == 0 {
        tokio::task::yield_now().await;
    }
    platform.process.signal("TERM");
    platform.process.log_line("stopping");
    drop(held);
    assert_eq!(answer.await.expect("an answer"), 200);
    assert_eq!(platform.process.exit(), Exit::success());
}

/// Sends `request` and reads until the server closes. A client that closed its own half might get no
/// answer: to hyper it has gone.
fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    // The server may refuse before it has read everything.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let mut part = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut part) {
        answer.extend_from_slice(part.get(..length).unwrap_or_default());
    }
    String::from_utf8_lossy(&answer).into_owned()
}
