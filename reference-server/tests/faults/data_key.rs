//! A replica that was given the wrong data key.

use std::fs;

use crate::stage::Stage;
use crate::workload::life_of_a_device;

/// 32 bytes, and none of ours.
const OTHER: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

pub(crate) async fn a_replica_with_the_wrong_data_key_says_so_and_writes_nothing() {
    let mut stage = Stage::open().await;
    life_of_a_device(&stage.clients).await;
    stage.stop();
    let key = fs::read_to_string(stage.database.key_file()).unwrap();
    let (id, _) = key.trim().rsplit_once(':').unwrap();
    let before = fs::read(stage.database.file()).unwrap();
    for id in [id, "unknown"] {
        let keys = format!("{id}:{OTHER}");
        let mut command = stage.command(&[("IDENTITY_DATA_ENCRYPTION_KEYS", &keys)]);
        let ended = command.output().unwrap();
        assert_eq!(ended.status.code(), Some(1));
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.starts_with("reference-server: "), "{said}");
        assert!(said.contains("data encryption key"), "{said}");
        assert!(!said.contains(OTHER), "{said}");
        assert_eq!(fs::read(stage.database.file()).unwrap(), before);
        let log = stage.database.file().with_extension("db-wal");
        assert!(fs::metadata(log).map_or(0, |log| log.len()) == 0);
    }
    stage.start(0);
    life_of_a_device(&stage.clients).await;
}
