//! Clients that do not do their part, by a clock that moves on when everybody waits.

#[path = "../../../tests/harness/frames.rs"]
#[allow(dead_code, unreachable_pub, reason = "other tests use the rest")]
mod frames;

use axum::routing::{get, post};
use bytes::Bytes;
use frames::{ACK, DATA, END_STREAM, Frame, GOAWAY, HEADERS, PING, frame, hello};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::{sleep, timeout};

use super::*;
use crate::http::EventStream;

/// More than a connection takes up underway.
const LENGTH: usize = 1_000_000;
/// What a slow route takes, and longer than any client is waited for.
const HOUR: Duration = Duration::from_secs(3600);
/// More keep-alives than come in any time that a client has.
const MANY: usize = 1000;

/// A client of a server that has a long answer and a slow one.
fn connect(protocol: Protocol) -> DuplexStream {
    connect_until(protocol, CancellationToken::new())
}

/// A client of one that stops with `shutdown`.
fn connect_until(protocol: Protocol, shutdown: CancellationToken) -> DuplexStream {
    let (client, server) = duplex(16 * 1024);
    let slow = async || sleep(HOUR).await;
    let routes = Router::new()
        .route("/", get(async || "x".repeat(LENGTH)))
        .route("/slow", get(slow))
        .route("/events", get(async || ticks()))
        .route("/body", post(async |_: Bytes| ()));
    tokio::spawn(async move {
        let ending = Ending {
            progress: Arc::default(),
            shutdown: &shutdown,
            live: None,
        };
        let peer = Peer(([127, 0, 0, 1], 1).into());
        drive(server, protocol, routes, peer, ending).await;
    });
    client
}

/// A piece every ten seconds.
fn ticks() -> EventStream {
    EventStream::new(async {
        sleep(Duration::from_secs(10)).await;
        Some((Bytes::from_static(b":\n\n"), ticks()))
    })
}

/// A client that answers PING as it must.
struct Polite(DuplexStream);

impl Polite {
    async fn connect(window: u32) -> Self {
        let mut client = Self(connect(Protocol::Http2));
        client.send(hello(window)).await;
        client
    }

    async fn send(&mut self, frames: Vec<u8>) {
        self.0.write_all(&frames).await.expect("the server reads");
    }

    /// The next frame that satisfies `wanted`, or `None` when the server closed before.
    async fn next(&mut self, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        for _ in 0..MANY {
            let next = frames::read(&mut self.0).await?;
            if wanted(&next) {
                return Some(next);
            }
            if next.kind == PING && next.flags & ACK == 0 {
                let answer = frame(PING, ACK, 0, &next.payload);
                // The server may have closed meanwhile.
                let _ = self.0.write_all(&answer).await;
            }
        }
        panic!("the server goes on for ever");
    }

    /// Expects GOAWAY, and the end.
    async fn is_told_to_go(&mut self) {
        let last = self.next(|it| it.kind == GOAWAY).await;
        assert_eq!(last.map(|it| it.error_code()), Some(0));
        assert!(self.next(|_| false).await.is_none());
    }
}

/// Reads until the server closes.
async fn rest(client: &mut DuplexStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let read = timeout(HOUR, client.read_to_end(&mut rest)).await;
    read.expect("it closes some day").expect("an end");
    rest
}

#[tokio::test(start_paused = true)]
async fn who_asks_nothing_is_given_up() {
    for said in [Vec::new(), hello(0)] {
        let mut client = connect(Protocol::Http2);
        client.write_all(&said).await.expect("the server reads");
        rest(&mut client).await;
    }
    rest(&mut connect(Protocol::Http1)).await;
}

#[tokio::test(start_paused = true)]
async fn headers_have_their_time_however_many_bytes_come() {
    for (protocol, said) in [
        (Protocol::Http1, b"GET / HTTP/1.1\r\n".to_vec()),
        (
            Protocol::Http2,
            [hello(0), frame(HEADERS, 0, 1, &[])].concat(),
        ),
    ] {
        let mut client = connect(protocol);
        client.write_all(&said).await.expect("the server reads");
        let mut sent = 0;
        let piece = match protocol {
            Protocol::Http1 => b"x".to_vec(),
            Protocol::Http2 => frame(frames::CONTINUATION, 0, 1, &[]),
        };
        // As seldom as h2 allows so many pieces.
        while client.write_all(&piece).await.is_ok() {
            sent += 1;
            assert!(sent < MANY, "{protocol:?}");
            sleep(Duration::from_secs(4)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn headers_have_their_time_after_other_requests_too() {
    let mut client = Polite::connect(0).await;
    client.send(frames::get(1, "/nothing")).await;
    assert!(client.next(|it| it.kind == HEADERS).await.is_some());
    client.send(frame(HEADERS, 0, 3, &[])).await;
    // An answer to PING would be an error in the midst of them.
    rest(&mut client.0).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_coming_is_given_up() {
    let mut client = connect(Protocol::Http1);
    let request = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nx";
    client.write_all(request).await.expect("the server reads");
    let answer = rest(&mut client).await;
    assert!(answer.starts_with(b"HTTP/1.1 400 "), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn who_lets_no_answer_be_sent_is_given_up() {
    for window in [0, 1] {
        let mut client = Polite::connect(window).await;
        client.send(frames::get(1, "/")).await;
        client.is_told_to_go().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_reads_no_answer_is_given_up() {
    let mut client = connect(Protocol::Http1);
    let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    client.write_all(request).await.expect("the server reads");
    sleep(HOUR).await;
    assert!(rest(&mut client).await.len() < LENGTH);
}

#[tokio::test(start_paused = true)]
async fn who_reads_slowly_gets_the_whole_answer() {
    let mut client = connect(Protocol::Http1);
    let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    client.write_all(request).await.expect("the server reads");
    let (mut read, mut piece) = (0, vec![0; LENGTH / 10]);
    while let Ok(length @ 1..) = client.read(&mut piece).await {
        read += length;
        sleep(Duration::from_secs(10)).await;
    }
    assert!(read > LENGTH);
}

#[tokio::test(start_paused = true)]
async fn who_asks_no_more_is_told_to_go_and_who_waits_is_not() {
    let mut client = Polite::connect(0).await;
    client.send(frames::get(1, "/slow")).await;
    let first = client.next(|it| [HEADERS, GOAWAY].contains(&it.kind)).await;
    assert_eq!(first.map(|it| it.kind), Some(HEADERS));
    client.is_told_to_go().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_lasts_is_read_for_as_long_as_it_lasts() {
    let shutdown = CancellationToken::new();
    let mut client = connect_until(Protocol::Http1, shutdown.clone());
    let request = b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n";
    client.write_all(request).await.expect("the server reads");
    let (mut pieces, mut piece) = (0, [0; 1024]);
    while pieces < MANY {
        let length = client.read(&mut piece).await.expect("it lasts");
        assert_ne!(length, 0, "it ended after {pieces} pieces");
        pieces += 1;
    }
    shutdown.cancel();
    let last = rest(&mut client).await;
    assert!(last.ends_with(b"0\r\n\r\n"), "it was cut: {last:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_lasts_over_http_2_ends_before_its_connection() {
    let shutdown = CancellationToken::new();
    let client = connect_until(Protocol::Http2, shutdown.clone());
    let mut client = Polite(client);
    client.send(hello(65_535)).await;
    client.send(frames::get(1, "/events")).await;
    for _ in 0..20 {
        assert!(client.next(|it| it.kind == DATA).await.is_some());
    }
    shutdown.cancel();
    let ended = client.next(|it| it.kind == DATA && it.flags & END_STREAM != 0);
    assert!(ended.await.is_some());
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_of_an_answer_that_lasts_is_given_up() {
    let mut client = Polite::connect(0).await;
    client.send(frames::get(1, "/events")).await;
    client.is_told_to_go().await;
}
