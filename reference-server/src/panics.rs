//! A panic ends what it happened in, a request or a job's turn, and nothing beside it.
//!
//! What others share with it is behind locks that are not poisoned, or whose holders take up what a
//! panic left: each of those says why that is sound.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// The code that was to do it panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a panic, of which the log says where it was")]
pub(crate) struct Panicked;

/// The output of `work`, unless it panics. After a panic it is not polled again.
pub(crate) async fn caught<F: Future + Unpin>(mut work: F) -> Result<F::Output, Panicked> {
    poll_fn(
        |context| match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut work).poll(context))) {
            Ok(polled) => polled.map(Ok),
            Err(_) => Poll::Ready(Err(Panicked)),
        },
    )
    .await
}

/// Has every panic of the process logged and counted.
pub(crate) fn observe() {
    std::panic::set_hook(Box::new(log));
}

fn log(panic: &PanicHookInfo<'_>) {
    metrics::counter!("panics_total").increment(1);
    let place = panic.location().map(ToString::to_string);
    // A literal holds nothing of what was worked on; a text that was put together might.
    let literal = panic.payload().downcast_ref::<&'static str>();
    tracing::error!(place, literal, "a panic");
}
