//! A replica that was given the wrong data key.

use crate::invariants::Invariants;
use crate::stage::{KEYS, Stage};
use crate::template::Backend;
use crate::workload::{Workload, life_of_a_device};

/// 32 bytes, and none of ours.
const OTHER: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

pub(crate) async fn a_replica_with_the_wrong_data_key_says_so_and_writes_nothing() {
    with_a_wrong_key(Stage::open().await).await;
}

pub(crate) async fn a_replica_on_postgresql_with_the_wrong_data_key_says_so_and_writes_nothing() {
    with_a_wrong_key(Stage::on(Backend::Postgres, 1).await).await;
}

/// It is refused while the other serves, and takes nothing from it.
pub(crate) async fn a_replica_with_the_wrong_data_key_does_not_join_one_that_serves() {
    let mut stage = Stage::on(Backend::Postgres, 2).await;
    let workload = Workload::start(&stage, 1, 1);
    stage.stop_one(1);
    for keys in wrong_keys(&stage) {
        is_refused(&stage, 1, &keys).await;
        workload.goes_on().await;
    }
    stage.start(1);
    workload.goes_on().await;
    workload.finish().await;
    Invariants::check(&mut stage).await;
}

async fn with_a_wrong_key(mut stage: Stage) {
    life_of_a_device(&stage.clients).await;
    stage.stop();
    let before = stage.database.content();
    for keys in wrong_keys(&stage) {
        is_refused(&stage, 0, &keys).await;
        assert!(stage.database.content() == before);
    }
    stage.start(0);
    life_of_a_device(&stage.clients).await;
    Invariants::check(&mut stage).await;
}

/// Another key under the database's id, and one under an id that it does not know.
fn wrong_keys(stage: &Stage) -> [String; 2] {
    let key = stage.database.keys();
    let (id, _) = key.trim().rsplit_once(':').unwrap();
    [id, "unknown"].map(|id| format!("{id}:{OTHER}"))
}

/// A replica that is started with `keys` ends, and says why.
async fn is_refused(stage: &Stage, replica: usize, keys: &str) {
    let mut command = stage.command(replica, &[(KEYS, keys)]);
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
    let ended = ended.await.unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("reference-server: "), "{said}");
    assert!(said.contains("data encryption key"), "{said}");
    assert!(!said.contains(OTHER), "{said}");
}
