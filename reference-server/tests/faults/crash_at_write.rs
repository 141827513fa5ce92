//! A crash at the n-th write to the database, for n from 1 on.

use crate::invariants::Invariants;
use crate::rounds;
use crate::stage::Stage;
use crate::strace::Strace;
use crate::workload::{day_at_a_counter, life_of_a_device};

/// As many writes are looked at: a device's life and a day at a counter make more.
const WRITES: usize = 120;

pub(crate) async fn a_crash_at_the_nth_write_loses_nothing() {
    let mut stage = Stage::open().await;
    let mut crashes = 0;
    let tries = rounds(8).min(WRITES);
    for n in (1..=WRITES).step_by(WRITES / tries) {
        let what = format!("pwrite64:signal=KILL:when={n}");
        let strace = Strace::inject(stage.process().id(), &what);
        let clients = stage.clients.clone();
        let mut story = tokio::spawn(async move {
            life_of_a_device(&clients).await;
            day_at_a_counter(&clients).await;
        });
        let is_over = |ended: Result<(), _>| ended.expect("the clients' story");
        tokio::select! {
            ended = &mut story => is_over(ended),
            () = ended(&mut stage) => {}
        }
        strace.detach();
        if stage.process().has_ended() {
            crashes += 1;
            stage.kill(0);
            stage.start(0);
        }
        if !story.is_finished() {
            is_over(story.await);
        }
    }
    assert!(crashes >= tries / 2, "{crashes} crashes in {tries} tries");
    Invariants::check(&mut stage).await;
}

/// Resolves when the process has ended.
async fn ended(stage: &mut Stage) {
    while !stage.process().has_ended() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
