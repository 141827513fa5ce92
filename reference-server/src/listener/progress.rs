//! Whether a client does its part: asks something, and takes the answers.
//!
//! An HTTP/2 client decides how much of an answer may be sent (RFC 9113 §5.2). One that lets nothing be
//! sent still answers PING, and so does one that asks nothing any more: hyper gives up neither.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::response::Response;
use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::http::Lasting;

/// Within this time a connection's first request and each request's headers must have come.
pub(super) const HEADER_TIME: Duration = Duration::from_secs(10);
/// An answer may lie unread for one period, and until the end of the one in which it was given.
const PERIOD: Duration = Duration::from_secs(30);
/// Who takes so many bytes in a period reads slowly.
const LEAST: usize = 16 * 1024;
/// After so many periods without a request a connection is closed.
const QUIET_PERIODS: u32 = 10;

/// Why a client is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// No request came.
    Silent,
    /// An answer was not taken.
    Unread,
    /// No request came any more.
    Idle,
}

impl GivenUp {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Unread => "unread",
            Self::Idle => "idle",
        }
    }
}

/// What a connection's client has asked, and not taken yet.
#[derive(Debug, Default)]
pub(super) struct Progress {
    asked: AtomicBool,
    running: Arc<()>,
    unread: Mutex<Unread>,
    /// Whether answers that last are to end.
    over: CancellationToken,
}

/// The answers that were given in this period, and before it.
#[derive(Debug, Default)]
struct Unread {
    now: Given,
    before: Given,
}

/// Answers that were given at one time: each has a clone until its last byte is written. How many of
/// their bytes were taken in this period.
type Given = Arc<AtomicUsize>;

/// A request that is not answered yet.
#[derive(Debug)]
pub(super) struct Running {
    _running: Arc<()>,
}

impl Progress {
    pub(super) fn begin(&self) -> Running {
        self.asked.store(true, Ordering::Relaxed);
        let _running = Arc::clone(&self.running);
        Running { _running }
    }

    /// The answer to a request, which is unread from now on. One that lasts is unread since its next
    /// piece was wanted, and its request is running until the last one.
    pub(super) fn answer(
        self: &Arc<Self>,
        response: Response,
        running: Running,
    ) -> http::Response<Answer> {
        let lasts = response.extensions().get::<Lasting>().is_some();
        let lasts = lasts.then(|| {
            Box::new(Lasts {
                progress: Arc::clone(self),
                over: Box::pin(self.over.clone().cancelled_owned()),
                _running: running,
            })
        });
        let given = self.given_now();
        response.map(|body| Answer { body, given, lasts })
    }

    /// Ends the answers that last, as if there were no more of them.
    pub(super) fn end_what_lasts(&self) {
        self.over.cancel();
    }

    /// Resolves when the client is to be given up.
    pub(super) async fn given_up(&self) -> GivenUp {
        sleep(HEADER_TIME).await;
        if self.is_quiet() {
            return GivenUp::Silent;
        }
        let mut quiet = 0;
        while quiet < QUIET_PERIODS {
            sleep(PERIOD).await;
            if self.next_period() {
                return GivenUp::Unread;
            }
            quiet = if self.is_quiet() { quiet + 1 } else { 0 };
        }
        GivenUp::Idle
    }

    /// Whether nothing was asked since this was called last, and nothing is to be answered or read.
    fn is_quiet(&self) -> bool {
        let asked = self.asked.swap(false, Ordering::Relaxed);
        let unread = self.unread();
        let is_running = Arc::strong_count(&self.running) > 1;
        !asked && !is_running && !is_unread(&unread.now) && !is_unread(&unread.before)
    }

    /// Begins a period; whether an answer lies there since before the last one, and next to nothing is
    /// taken.
    fn next_period(&self) -> bool {
        let mut unread = self.unread();
        let taken = [&unread.now, &unread.before].map(|given| given.swap(0, Ordering::Relaxed));
        if is_unread(&unread.before) {
            return taken.iter().sum::<usize>() < LEAST;
        }
        unread.before = std::mem::take(&mut unread.now);
        false
    }

    fn given_now(&self) -> Given {
        Arc::clone(&self.unread().now)
    }

    fn unread(&self) -> MutexGuard<'_, Unread> {
        // Two counters: there is nothing that a panic could leave half done.
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_unread(given: &Given) -> bool {
    Arc::strong_count(given) > 1
}

/// The body of an answer.
pub(super) struct Answer {
    body: axum::body::Body,
    given: Given,
    lasts: Option<Box<Lasts>>,
}

/// What an answer has that lasts until it is over, or its connection is.
struct Lasts {
    progress: Arc<Progress>,
    over: Pin<Box<WaitForCancellationFutureOwned>>,
    _running: Running,
}

/// A piece of it, which hyper keeps until the client lets it be sent and the socket takes it.
pub(super) struct Piece {
    bytes: Bytes,
    given: Given,
}

impl Body for Answer {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Self::Error>>> {
        if let Some(lasts) = &mut self.lasts {
            if lasts.over.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            let given = lasts.progress.given_now();
            self.given = given;
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        polled.map_ok(|frame| {
            frame.map_data(|bytes| Piece {
                bytes,
                given: Arc::clone(&self.given),
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.given.fetch_add(count, Ordering::Relaxed);
    }
}
