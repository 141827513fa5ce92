//! A replica that was given the wrong data key.

use crate::stage::{KEYS, Stage};
use crate::template::Backend;
use crate::workload::life_of_a_device;

/// 32 bytes, and none of ours.
const OTHER: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

pub(crate) async fn a_replica_with_the_wrong_data_key_says_so_and_writes_nothing() {
    with_a_wrong_key(Stage::open().await).await;
}

pub(crate) async fn a_replica_on_postgresql_with_the_wrong_data_key_says_so_and_writes_nothing() {
    with_a_wrong_key(Stage::on(Backend::Postgres, 1).await).await;
}

async fn with_a_wrong_key(mut stage: Stage) {
    life_of_a_device(&stage.clients).await;
    stage.stop();
    let key = stage.database.keys();
    let (id, _) = key.trim().rsplit_once(':').unwrap();
    let before = stage.database.content();
    for id in [id, "unknown"] {
        let keys = format!("{id}:{OTHER}");
        let mut command = stage.command(0, &[(KEYS, &keys)]);
        let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
        let ended = ended.await.unwrap();
        assert_eq!(ended.status.code(), Some(1));
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.starts_with("reference-server: "), "{said}");
        assert!(said.contains("data encryption key"), "{said}");
        assert!(!said.contains(OTHER), "{said}");
        assert!(stage.database.content() == before);
    }
    stage.start(0);
    life_of_a_device(&stage.clients).await;
}
