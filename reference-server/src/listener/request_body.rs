//! Request bodies that are read to their end, also when a route refuses without reading them.
//!
//! A client that still sends while its connection or stream is torn down may never see the answer:
//! TCP drops what it received (RFC 1122 §4.2.2.13), and some HTTP/2 clients drop it on `RST_STREAM`.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Buf;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, SizeHint};

/// As much of a rest is read, in bytes: the largest body that any route takes.
const MAX_REST: usize = 8 * 1024 * 1024;
/// As long may an answer wait for it.
const REST_TIME: Duration = Duration::from_secs(2);

/// A body of which the connection keeps a clone while the route reads it.
#[derive(Debug)]
pub(super) struct SharedBody<B>(Arc<Mutex<B>>);

impl<B> SharedBody<B> {
    pub(super) fn new(body: B) -> Self {
        Self(Arc::new(Mutex::new(body)))
    }

    fn body(&self) -> MutexGuard<'_, B> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Clone for SharedBody<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: Body + Unpin> SharedBody<B> {
    /// Reads what the route left, and throws it away.
    pub(super) async fn discard_rest(mut self) {
        if self.is_end_stream() {
            return;
        }
        let rest = async {
            let mut allowed = MAX_REST;
            while let Some(Ok(frame)) = self.frame().await {
                let length = frame.data_ref().map_or(0, Buf::remaining);
                match allowed.checked_sub(length) {
                    Some(left) => allowed = left,
                    None => return,
                }
            }
        };
        // Whoever sends more, or more slowly, gets the answer as it goes.
        let _ = tokio::time::timeout(REST_TIME, rest).await;
    }
}

impl<B: Body + Unpin> Body for SharedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut *self.body()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body().size_hint()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;

    use super::*;

    struct Silence;

    impl Body for Silence {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn what_nobody_read_is_read() {
        let body = SharedBody::new(Full::new(Bytes::from_static(b"{}")));
        body.clone().discard_rest().await;
        assert!(body.is_end_stream());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_that_never_comes_holds_up_no_answer_for_ever() {
        SharedBody::new(Silence).discard_rest().await;
    }
}
