//! Server-sent events (WHATWG HTML §9.2): an answer that lasts, a piece whenever there is one.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use tracing::Instrument as _;

use crate::panics::caught;

/// Stands in the extensions of an answer that lasts until its server or its client ends it. It has a
/// piece at least every thirty seconds: a client that wants none for longer is given up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lasting;

type Next = Pin<Box<dyn Future<Output = Option<(Bytes, EventStream)>> + Send>>;

/// Pieces of an answer, each made when the one before is taken.
pub(crate) struct EventStream(Option<Next>);

impl EventStream {
    /// What begins with the piece that `next` gives, and goes on with the rest that it gives; it is
    /// over when that is nothing, or panics.
    pub(crate) fn new(next: impl Future<Output = Option<(Bytes, Self)>> + Send + 'static) -> Self {
        let next = Box::pin(next.in_current_span());
        Self(Some(Box::pin(async { caught(next).await.ok().flatten() })))
    }
}

impl hyper::body::Body for EventStream {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(next) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let piece = ready!(next.as_mut().poll(context)).map(|(piece, rest)| {
            *self = rest;
            Ok(Frame::data(piece))
        });
        if piece.is_none() {
            self.0 = None;
        }
        Poll::Ready(piece)
    }
}

impl IntoResponse for EventStream {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::new(self.boxed_unsync()));
        let media_type = HeaderValue::from_static("text/event-stream");
        response.headers_mut().insert(CONTENT_TYPE, media_type);
        response.extensions_mut().insert(Lasting);
        response
    }
}

/// A comment: the client learns that the server is there, and the server whether the client is.
pub(super) const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");

/// Tells the client how long to wait before it comes again when the stream ended.
pub(super) fn retry(after: Duration) -> String {
    format!("retry: {}\n\n", after.as_millis())
}

/// An event of this type. The client sends the id of the last one along when it comes again, as
/// `Last-Event-ID`. `data` is JSON, which has no line of its own to break.
pub(super) fn event(kind: &str, id: &str, data: &serde_json::Value) -> String {
    format!("event: {kind}\nid: {id}\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_four_lines_whatever_its_data() {
        assert_eq!(
            event("challenges", "x", &json!({"text": "two\r\nlines\u{2028}"})),
            "event: challenges\nid: x\ndata: {\"text\":\"two\\r\\nlines\u{2028}\"}\n\n"
        );
        assert_eq!(retry(Duration::from_millis(2000)), "retry: 2000\n\n");
    }

    #[tokio::test]
    async fn a_stream_is_over_after_its_last_piece_or_a_panic() {
        let none = || EventStream::new(async { None });
        let broken = || EventStream::new(async { panic!("a piece") });
        let after = |rest| EventStream::new(async { Some((HEARTBEAT, rest)) });
        for (stream, length) in [(none(), 0), (after(after(none())), 2), (after(broken()), 1)] {
            let whole = stream.collect().await.expect("no error").to_bytes();
            assert_eq!(whole.len(), length * HEARTBEAT.len());
        }
    }
}
