//! Data keys that are rotated while replicas serve.

use std::process::{Command, Stdio};

use crate::database::{DATA_KEYS, Database};
use crate::harness::{Random, add_users, program, rotate_and_kill};
use crate::invariants::Invariants;
use crate::stage::{KEYS, Stage};
use crate::template::Backend;
use crate::workload::Workload;
use crate::{rounds, seed};

const NEXT: &str = "next:AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM";
/// So many users are there before.
const USERS: usize = 800;

pub(crate) async fn a_rotation_of_data_keys_that_is_killed_again_and_again_loses_nothing() {
    let mut random = Random::seeded(seed());
    let mut stage = Stage::on(Backend::Postgres, 2).await;
    let store = stage.database.store().await;
    add_users(&*store, USERS).await;
    store.close().await;
    stage.clients.journal.hide_data_keys(NEXT);
    let workload = Workload::start(&stage, 1, 2);
    // Every replica can read a key before one writes with it.
    let both = format!("{NEXT},{DATA_KEYS}");
    for keys in [&format!("{DATA_KEYS},{NEXT}"), &both] {
        restart_in_turn(&mut stage, keys, &workload).await;
    }
    rotate_and_kill(rounds(6), &mut random, || rotate(&stage.database, &both));
    let ended = rotate(&stage.database, &both).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}");
    assert!(said.contains("the others may be dropped"), "{said}");
    restart_in_turn(&mut stage, NEXT, &workload).await;
    stage.database.give_keys(NEXT);
    workload.finish().await;
    Invariants::check(&mut stage).await;
}

async fn restart_in_turn(stage: &mut Stage, keys: &str, workload: &Workload) {
    stage.set(KEYS, keys);
    for replica in 0..stage.replicas.len() {
        stage.stop_one(replica);
        stage.start(replica);
        workload.goes_on().await;
    }
}

fn rotate(database: &Database, keys: &str) -> Command {
    let mut command = program();
    command
        .args(["keys", "rotate"])
        .env("DATABASE_URL", database.url())
        .env(KEYS, keys)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}
