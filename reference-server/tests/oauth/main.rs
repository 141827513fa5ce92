//! OAuth as integrators see it (contract §5), told to the real binary. Clients that are not ours need
//! `npm ci --ignore-scripts` in `foreign/oauth`, and in `IDENTITY_PYTHON` an interpreter that has what
//! `foreign/requirements.txt` lists; without, their tests report themselves as ignored.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod assertions;
mod backchannel;
mod client;
mod foreign;
#[path = "../webhooks/sink.rs"]
mod sink;
mod tokens;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = foreign::trials();
    trials.extend(assertions::trials());
    trials.extend(backchannel::trials());
    trials.extend(tokens::trials());
    libtest_mimic::run(&arguments, trials).exit();
}

/// A story that needs nothing but the server.
fn trial<S: Future<Output = ()>>(name: &str, story: impl FnOnce() -> S + Send + 'static) -> Trial {
    Trial::test(name, move || {
        tell(story());
        Ok(())
    })
}

fn tell(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(story);
}
