//! The check itself: it finds each invariant broken.

use tempfile::TempDir;

use crate::database::Database;
use crate::invariants::{Invariants, Shown};
use crate::stage::Stage;
use crate::workload::{day_at_a_counter, life_of_a_device};

/// What breaks each invariant, in a database that was sound.
const BREAKS: [(u8, &str); 10] = [
    (
        1,
        "DROP TRIGGER issued_certificates_are_kept;
         DELETE FROM issued_certificates WHERE purpose = 'renewal'",
    ),
    (2, "DELETE FROM revoked_cert_fingerprints WHERE reason = 'renewed'"),
    (
        3,
        "DROP TRIGGER issued_certificates_are_final;
         UPDATE issued_certificates SET purpose = 'pairing'",
    ),
    (
        4,
        "INSERT INTO outbox (tenant_id, event_id, event_type, subject, sequence, at, data)
         SELECT tenant_id, 'evt_01jd8z6m3w0000000000000000', event_type, subject, sequence + 1, at, data
         FROM outbox WHERE event_type = 'enrollment.complete'",
    ),
    (
        4,
        "INSERT INTO challenge_attempts
         SELECT tenant_id, challenge_id, number + 1, randomblob(32), started_at, lease_until,
                finished_at, decided, may_have_happened, vendor_request_id, policy_version
         FROM challenge_attempts WHERE finished_at > started_at",
    ),
    (5, "UPDATE palms SET palm_id = palm_id + 1"),
    (6, "UPDATE audit_rows SET subject = 'another' WHERE position = 1"),
    (6, "DELETE FROM outbox WHERE event_type = 'device.paired'"),
    (7, "UPDATE users SET display_name = NULL"),
    // Names and addresses are encrypted: this one is told as the client told it.
    (
        8,
        "UPDATE audit_rows SET actor_id =
             (SELECT 'canary.' || substr(user_id, 6) || '@person.example' FROM users LIMIT 1)",
    ),
];

pub(crate) async fn the_check_finds_each_invariant_broken() {
    let mut stage = Stage::open().await;
    life_of_a_device(&stage.clients).await;
    day_at_a_counter(&stage.clients).await;
    let shown = Invariants::look(&mut stage).await;
    let (extent, sound) = Invariants::judge(&stage, &stage.database, &shown).await;
    assert!(sound.is_empty(), "{sound:?}");
    assert!(extent.denied >= 3 && extent.events > 0, "{extent:?}");
    for (number, change) in BREAKS {
        let directory = TempDir::new().unwrap();
        let copy = copy(&stage.database, &directory);
        copy.tamper(change).await;
        let (_, found) = Invariants::judge(&stage, &copy, &shown).await;
        let is_found = found.iter().any(|violation| violation.0 == number);
        assert!(is_found, "{number} is not found by {change}: {found:?}");
    }
    let said = stage.clients.journal.book().canaries[0].clone();
    let loud = Shown {
        texts: vec![format!("an error about {said}")],
        violations: Vec::new(),
    };
    let (_, found) = Invariants::judge(&stage, &stage.database, &loud).await;
    assert!(found.iter().all(|violation| violation.0 == 8) && !found.is_empty());
}

/// A revoked device that the database takes for a paired one is served, and the check sees it.
pub(crate) async fn the_check_finds_a_revoked_device_that_is_served() {
    let mut stage = Stage::open().await;
    let device = stage.clients.paired().await;
    stage.clients.revoke(&device).await;
    stage.stop();
    let forgiven = "
        DELETE FROM revoked_cert_fingerprints;
        UPDATE devices SET status = 'paired', revoked_at = NULL, revoked_by = NULL,
            active_serial = (SELECT serial FROM issued_certificates)";
    stage.database.tamper(forgiven).await;
    stage.start(0);
    let shown = Invariants::look(&mut stage).await;
    assert!(shown.violations.iter().any(|violation| violation.0 == 9));
}

fn copy(database: &Database, directory: &TempDir) -> Database {
    for file in [database.file(), &database.key_file()] {
        let name = file.file_name().unwrap();
        std::fs::copy(file, directory.path().join(name)).unwrap();
    }
    Database::in_directory(directory.path())
}
