use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::EXPECT;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use identity_mtls::tower::DeviceIdentityLayer;
use identity_mtls::{Accepted, LiveConnection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::Layer as _;
use tower_http::timeout::TimeoutBody;

use super::progress::{Answer, GivenUp, HEADER_TIME, Progress};
use super::request_body::SharedBody;
use crate::http::Peer;

#[cfg(test)]
mod tests;

/// A body that gives nothing for so long is given up, and so is an HTTP/2 peer that is silent.
const IDLE_TIME: Duration = Duration::from_secs(15);
/// How long answers in flight may take when a device's connection is closed.
const CLOSE_TIME: Duration = Duration::from_secs(1);
/// HTTP/1 headers, all together.
const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 64;
/// HTTP/2 headers of a request, uncompressed.
const MAX_HEADER_LIST: u32 = 32 * 1024;
const MAX_STREAMS: u32 = 64;
/// Streams that a client opens and resets at once (rapid reset, CVE-2023-44487).
const MAX_RESETS: usize = 32;

/// The protocol that both ends agreed on. Nothing is guessed from the first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    /// By ALPN (RFC 7301); a client without it speaks HTTP/1.1.
    fn negotiated(alpn: Option<&[u8]>) -> Self {
        if alpn == Some(b"h2") {
            Self::Http2
        } else {
            Self::Http1
        }
    }
}

/// A connection on which requests can come.
pub(super) struct Connection {
    stream: Stream,
    protocol: Protocol,
    peer: Peer,
    live: Option<LiveConnection>,
}

enum Stream {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

impl Connection {
    pub(super) fn plain(stream: TcpStream, peer: Peer) -> Self {
        Self {
            stream: Stream::Plain(stream),
            protocol: Protocol::Http1,
            peer,
            live: None,
        }
    }

    pub(super) fn secure(accepted: Accepted<TcpStream>, peer: Peer) -> Self {
        let (_, tls) = accepted.stream.get_ref();
        Self {
            protocol: Protocol::negotiated(tls.alpn_protocol()),
            stream: Stream::Secure(Box::new(accepted.stream)),
            peer,
            live: accepted.live,
        }
    }

    /// Serves requests until either end closes, the server stops, or the client is refused or given up.
    pub(super) async fn serve(self, shutdown: &CancellationToken, routes: Router) {
        let Self {
            stream,
            protocol,
            peer,
            live,
        } = self;
        let ending = Ending {
            progress: Arc::default(),
            shutdown,
            live,
        };
        match stream {
            Stream::Plain(stream) => drive(stream, protocol, routes, peer, ending).await,
            Stream::Secure(stream) => drive(stream, protocol, routes, peer, ending).await,
        }
    }
}

/// The answer to a request. What a long poll holds while it waits is in this future and in those that
/// it holds, so the request is taken apart before there is one.
fn answer<S>(
    mut routes: S,
    request: hyper::Request<Incoming>,
    peer: Peer,
    progress: Arc<Progress>,
) -> impl Future<Output = Result<http::Response<Answer>, Infallible>> + Send
where
    S: tower::Service<
            axum::extract::Request,
            Response = axum::response::Response,
            Error = Infallible,
            Future: Unpin + Send,
        >,
{
    let running = progress.begin();
    // A client that waits for leave to send its body is not to send it for nothing.
    let waits = request.headers().contains_key(EXPECT);
    let (parts, body) = request.into_parts();
    let body = SharedBody::new(body);
    let rest = body.clone();
    let body = Body::new(TimeoutBody::new(IDLE_TIME, body));
    let mut request = hyper::Request::from_parts(parts, body);
    request.extensions_mut().insert(peer);
    let mut routed = routes.call(request);
    async move {
        // By reference: a future that is moved to be awaited has its place twice.
        let Ok(response) = (&mut routed).await;
        if !waits {
            Box::pin(rest.discard_rest()).await;
        }
        Ok(progress.answer(response, running))
    }
}

/// What ends a connection, beside its client.
struct Ending<'a> {
    progress: Arc<Progress>,
    shutdown: &'a CancellationToken,
    live: Option<LiveConnection>,
}

impl Ending<'_> {
    /// Resolves when the connection's device is no longer accepted.
    async fn refused(&self) {
        match &self.live {
            Some(live) => live.closed().await,
            None => std::future::pending().await,
        }
    }

    /// Resolves when its client is given up.
    async fn given_up(&self) -> GivenUp {
        let why = self.progress.given_up().await;
        metrics::counter!("connections_given_up_total", "reason" => why.as_str()).increment(1);
        why
    }
}

/// Serves a connection in its protocol.
async fn drive<I>(stream: I, protocol: Protocol, routes: Router, peer: Peer, ending: Ending<'_>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let progress = Arc::clone(&ending.progress);
    let device = ending.live.as_ref().map(|live| live.device().clone());
    let routes = DeviceIdentityLayer::new(device).layer(routes);
    let service = hyper::service::service_fn(move |request| {
        answer(routes.clone(), request, peer, Arc::clone(&progress))
    });
    let stream = TokioIo::new(stream);
    match protocol {
        Protocol::Http1 => {
            let connection = Box::pin(http1().serve_connection(stream, service));
            to_its_end(connection, ending).await;
        }
        Protocol::Http2 => {
            let connection = Box::pin(http2().serve_connection(stream, service));
            to_its_end(connection, ending).await;
        }
    }
}

/// Runs a connection to its end.
async fn to_its_end(
    // On the heap: in the task it would have a place in each of the calls that it is handed through.
    mut connection: Pin<Box<impl GracefulConnection<Error = hyper::Error>>>,
    ending: Ending<'_>,
) {
    let grace = tokio::select! {
        ended = connection.as_mut() => return log_end(ended),
        () = ending.shutdown.cancelled() => super::DRAIN_TIME,
        () = ending.refused() => CLOSE_TIME,
        why = ending.given_up() => match why {
            // HTTP/2 lets no window hold GOAWAY up: it tells which requests were not taken up.
            GivenUp::Idle | GivenUp::Unread => CLOSE_TIME,
            GivenUp::Silent => return,
        },
    };
    ending.progress.end_what_lasts();
    connection.as_mut().graceful_shutdown();
    // A device may also be refused while the server drains.
    tokio::select! {
        ended = connection.as_mut() => log_end(ended),
        () = tokio::time::sleep(grace) => {}
        _ = ending.given_up() => {}
        () = async { ending.refused().await; tokio::time::sleep(CLOSE_TIME).await } => {}
    }
}

fn log_end(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS);
    builder
}

fn http2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_RESETS)
        .keep_alive_interval(IDLE_TIME)
        .keep_alive_timeout(IDLE_TIME);
    builder
}
