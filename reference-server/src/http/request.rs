//! What every request gets: an id, a span, security headers, and problem documents for refusals.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::response::{IntoResponse as _, Response};
use axum::routing::Route;
use http::header::{CACHE_CONTROL, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use identity_store::{Actor, Change};
use time::OffsetDateTime;
use tower::layer::layer_fn;
use tower::{Service as _, service_fn};
use tracing::Instrument as _;

use super::problem::{Problem, foreign_refusal};
use super::{ErrorCode, idempotency, trace_context};
use crate::App;
use crate::panics::caught;

/// The header that carries a request's id.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The name of a request in answers, logs and audit rows: 1 to 128 of `A-Za-z0-9._-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Box<str>);

impl RequestId {
    /// The caller's own id, if it is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let fits = (1..=128).contains(&text.len()) && text.bytes().all(allowed);
        fits.then(|| Self(text.into()))
    }

    /// A new id.
    #[must_use]
    pub fn generate(now: OffsetDateTime) -> Self {
        Self(identity_store::new_ulid(now, &mut crate::clock::entropy()).into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn of(headers: &HeaderMap, now: OffsetDateTime) -> Self {
        let own = headers
            .get(X_REQUEST_ID)
            .and_then(|value| value.to_str().ok());
        own.and_then(Self::parse)
            .unwrap_or_else(|| Self::generate(now))
    }
}

/// The other end of the connection; the listener puts it into each request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// The circumstances of a request.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// Its id.
    pub request_id: RequestId,
    /// Where it came from: the other end of the connection, whatever headers say.
    pub source: Option<IpAddr>,
    /// When it arrived.
    pub now: OffsetDateTime,
    /// Method and path.
    pub(super) route: String,
    /// Its `Idempotency-Key`, if it has one.
    pub(super) idempotency_key: Option<idempotency::HeaderKey>,
}

impl RequestContext {
    /// The circumstances of a state change that `actor` asks for with this request.
    #[must_use]
    pub fn change(&self, actor: Actor) -> Change {
        let change = Change::new(self.now, actor, self.request_id.as_str());
        match self.source {
            Some(source) => change.from_source(source),
            None => change,
        }
    }
}

impl FromRequestParts<Arc<App>> for RequestContext {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let missing = || Problem::internal("the request passed by the middleware that names it");
        let request_id = parts
            .extensions
            .get::<RequestId>()
            .cloned()
            .ok_or_else(missing)?;
        Ok(Self {
            request_id,
            source: parts.extensions.get::<Peer>().map(|peer| peer.0.ip()),
            now: app.clock.now(),
            route: format!("{} {}", parts.method, parts.uri.path()),
            idempotency_key: idempotency::HeaderKey::of(&parts.headers)?,
        })
    }
}

/// How long a browser comes to this host over HTTPS alone, from each answer on: a year (RFC 6797 §6.1.1).
const ONE_YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// What the answers of a listener say of its transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransportSecurity {
    /// Nothing.
    Silent,
    /// HTTPS alone.
    Strict,
}

impl TransportSecurity {
    /// That of the API listener: strict over TLS (RFC 6797 §7.2) if the operator named the host under
    /// which browsers know it. It counts for all ports of that host.
    pub(super) fn of_api(app: &App) -> Self {
        let named = app.config.public_url.as_ref();
        if app.tls.is_https() && named.is_some_and(|url| url.scheme() == "https") {
            Self::Strict
        } else {
            Self::Silent
        }
    }
}

/// `routes`, each of them within [`observe`].
pub(super) fn observed(
    app: &Arc<App>,
    routes: Router<Arc<App>>,
    security: TransportSecurity,
) -> Router {
    let observer = Arc::clone(app);
    let layer = layer_fn(move |route: Route| {
        let app = Arc::clone(&observer);
        service_fn(move |request| observe(Arc::clone(&app), route.clone(), request, security))
    });
    routes.layer(layer).with_state(Arc::clone(app))
}

/// Names the request, logs it, and writes the problem document of a refusal, or of a panic.
///
/// Bodies, query strings and path parameters are never logged: the route's template is.
fn observe(
    app: Arc<App>,
    mut route: Route,
    mut request: Request,
    security: TransportSecurity,
) -> impl Future<Output = Result<Response, Infallible>> + Send {
    let started = Instant::now();
    let request_id = RequestId::of(request.headers(), app.clock.now());
    request.extensions_mut().insert(request_id.clone());
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let span = tracing::info_span!(
        "request", request_id = request_id.as_str(), method = %method, route = template(path.as_ref()),
        trace_id = trace_context::trace_id(request.headers()),
    );
    let mut routed = route.call(request);
    async move {
        // By reference: a future that is moved to be awaited has its place twice.
        let response = match caught(&mut routed).await {
            Ok(Ok(response)) => response,
            Err(panicked) => Problem::internal(panicked).into_response(),
        };
        let mut response = finish(&app, &request_id, response);
        if security == TransportSecurity::Strict {
            let headers = response.headers_mut();
            headers.insert(STRICT_TRANSPORT_SECURITY, ONE_YEAR);
        }
        record(&method, template(path.as_ref()), &response, started);
        Ok(response)
    }
    .instrument(span)
}

/// A route with names for what callers choose.
fn template(path: Option<&MatchedPath>) -> &str {
    path.map_or("unknown", MatchedPath::as_str)
}

fn finish(app: &App, request_id: &RequestId, mut response: Response) -> Response {
    let problem = response.extensions_mut().remove::<Problem>();
    if let Some(problem) = problem.or_else(|| foreign_refusal(&response)) {
        log_failure(&problem);
        let mut rendered = problem.render(request_id.as_str(), app.clock.now());
        // What the refusing component said beside its body, such as Allow.
        for (name, value) in response.headers() {
            if !name.as_str().starts_with("content-") && !rendered.headers().contains_key(name) {
                rendered.headers_mut().append(name.clone(), value.clone());
            }
        }
        response = rendered;
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(request_id.as_str()) {
        headers.insert(X_REQUEST_ID, value);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

fn log_failure(problem: &Problem) {
    let error = problem.code().as_str();
    match problem.source_chain() {
        Some(source) if problem.code() == ErrorCode::Internal => {
            tracing::error!(error, source, "request failed");
        }
        Some(source) => tracing::warn!(error, source, "request refused"),
        None => tracing::debug!(error, "request refused"),
    }
}

fn record(method: &Method, route: &str, response: &Response, started: Instant) {
    let elapsed = started.elapsed();
    let status = response.status().as_u16();
    let labels = [
        ("method", method_label(method).to_owned()),
        ("route", route.to_owned()),
        ("status", status.to_string()),
    ];
    metrics::counter!("http_requests_total", &labels).increment(1);
    metrics::histogram!("http_request_duration_seconds", &labels).record(elapsed.as_secs_f64());
    let latency_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(status, latency_ms, "request");
}

/// A bounded set: methods are the caller's to invent.
fn method_label(method: &Method) -> &str {
    match *method {
        Method::GET | Method::POST | Method::PUT | Method::DELETE | Method::HEAD => method.as_str(),
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use axum::routing::get;
    use identity_store::MemoryStore;
    use tokio::net::TcpListener;

    use super::*;
    use crate::clock::{SystemClock, entropy};
    use crate::config::Config;
    use crate::listener::{self, Transport};

    async fn panics() -> Response {
        tokio::task::yield_now().await;
        panic!("with what the request was about");
    }

    #[tokio::test]
    async fn a_panic_in_one_request_ends_neither_process_nor_connection() {
        let config = Config::from_lookup(|_| None, false).expect("defaults");
        let store = Arc::new(MemoryStore::new(entropy()));
        let address = ([127, 0, 0, 1], 0).into();
        let app = App::load(config, address, store, Arc::new(SystemClock), None)
            .await
            .expect("a server");
        let routes = Router::new()
            .route("/panics", get(panics))
            .route("/works", get(async || "it does"));
        let routes = observed(&app, routes, TransportSecurity::Silent);
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("its address");
        tokio::spawn(listener::serve(app, listener, routes, Transport::Plain));

        let client = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address)?;
            let mut answers = String::new();
            stream.write_all(b"GET /panics HTTP/1.1\r\nHost: x\r\n\r\n")?;
            stream.write_all(b"GET /works HTTP/1.0\r\n\r\n")?;
            stream.read_to_string(&mut answers)?;
            std::io::Result::Ok(answers)
        });
        let answers = client.await.expect("no panic").expect("answers");
        let (first, second) = answers.split_once("HTTP/1.0 ").expect("two answers");
        assert!(first.starts_with("HTTP/1.1 500 "), "{first}");
        assert!(
            first.contains("content-type: application/problem+json"),
            "{first}"
        );
        assert!(first.contains(r#""error":"internal""#), "{first}");
        assert!(!answers.contains("what the request was about"), "{first}");
        assert!(
            second.starts_with("200 ") && second.ends_with("it does"),
            "{second}"
        );
    }

    #[test]
    fn request_ids_are_taken_when_they_are_harmless() {
        for good in ["a", "req-1_x.Y", &"z".repeat(128)] {
            assert!(RequestId::parse(good).is_some(), "{good}");
        }
        for bad in ["", " ", "a b", "a\"b", "ä", "a\n", &"z".repeat(129)] {
            assert!(RequestId::parse(bad).is_none(), "{bad}");
        }
    }
}
