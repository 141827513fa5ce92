//! The check itself: it finds each invariant broken.

use std::any::Any;

use tempfile::TempDir;

use crate::database::Database;
use crate::invariants::{Extent, Invariants, Shown, Violation};
use crate::stage::Stage;
use crate::template::Backend;
use crate::workload::{day_at_a_counter, life_of_a_device};

/// What breaks each invariant, in a database that was sound.
const BREAKS: [(u8, &str); 12] = [
    (
        1,
        "DELETE FROM issued_certificates WHERE purpose = 'renewal'",
    ),
    (
        2,
        "DELETE FROM revoked_cert_fingerprints WHERE reason = 'renewed'",
    ),
    (3, "UPDATE issued_certificates SET purpose = 'pairing'"),
    (
        4,
        "UPDATE outbox SET event_type = 'enrollment.complete'
         WHERE event_type = 'challenge.created'",
    ),
    (
        4,
        "INSERT INTO challenge_attempts
         SELECT tenant_id, challenge_id, number + 1, randomblob(32), started_at, lease_until,
                finished_at, decided, may_have_happened, vendor_request_id, policy_version,
                reason_code
         FROM challenge_attempts WHERE finished_at > started_at",
    ),
    (5, "UPDATE palms SET palm_id = palm_id + 1"),
    (
        6,
        "UPDATE audit_rows SET subject = 'another' WHERE chain_position = 1",
    ),
    (6, "DELETE FROM outbox WHERE event_type = 'device.paired'"),
    (
        6,
        "UPDATE users SET internal_id = 'usr_01jd8z6m3w0000000000000000'",
    ),
    (
        6,
        "UPDATE audit_chains SET signed_length = 0, signed_hash = NULL, signed_head = NULL",
    ),
    (7, "UPDATE users SET display_name = NULL"),
    // Names and addresses are encrypted: this one is told as the client told it.
    (
        8,
        "UPDATE audit_rows SET actor_id =
             (SELECT 'canary.' || substr(user_id, 6) || '@person.example' FROM users LIMIT 1)",
    ),
];

/// What lets the ledger be changed.
const UNLOCK: &str = "
    DROP TRIGGER issued_certificates_are_kept;
    DROP TRIGGER issued_certificates_are_final";

/// The same, and what SQLite has and PostgreSQL has not.
const UNLOCK_ON_POSTGRES: &str = "
    ALTER TABLE issued_certificates DISABLE TRIGGER USER;
    CREATE FUNCTION randomblob(integer) RETURNS bytea
        RETURN sha256(convert_to(random()::text, 'UTF8'))";

pub(crate) async fn the_check_finds_each_invariant_broken() {
    each_is_found(Stage::open().await, UNLOCK).await;
}

pub(crate) async fn the_check_finds_each_invariant_broken_on_postgresql() {
    each_is_found(Stage::on(Backend::Postgres, 1).await, UNLOCK_ON_POSTGRES).await;
}

async fn each_is_found(mut stage: Stage, unlock: &'static str) {
    life_of_a_device(&stage.clients).await;
    day_at_a_counter(&stage.clients).await;
    let shown = Invariants::look(&mut stage).await;
    let (extent, sound) = judge_copy(&stage, &shown, &[]).await;
    assert!(sound.is_empty(), "{sound:?}");
    assert!(extent.denied >= 3 && extent.events > 0, "{extent:?}");
    for (number, change) in BREAKS {
        let (_, found) = judge_copy(&stage, &shown, &[unlock, change]).await;
        let is_found = found.iter().any(|violation| violation.0 == number);
        assert!(is_found, "{number} is not found by {change}: {found:?}");
    }
    let device = stage.clients.journal.book().codes[0].device.clone();
    stage
        .clients
        .journal
        .given_code(&device, "a code of nobody");
    let (_, found) = judge_copy(&stage, &shown, &[]).await;
    assert!(
        found.iter().all(|violation| violation.0 == 6) && !found.is_empty(),
        "{found:?}"
    );
    stage.clients.journal.book().codes.pop();
    let said = stage.clients.journal.book().canaries[0].clone();
    let loud = Shown {
        texts: vec![format!("an error about {said}")],
        violations: Vec::new(),
    };
    let (_, found) = judge_copy(&stage, &loud, &[]).await;
    assert!(
        found.iter().all(|violation| violation.0 == 8) && !found.is_empty(),
        "{found:?}"
    );
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

/// What is wrong with a copy after these changes: each reading seals the rows that the servers left,
/// and what one sealed no server has signed.
async fn judge_copy(
    stage: &Stage,
    shown: &Shown,
    changes: &[&'static str],
) -> (Extent, Vec<Violation>) {
    let (copy, _place) = copy(stage);
    for change in changes {
        copy.tamper(change).await;
    }
    Invariants::judge(stage, &copy, shown).await
}

/// A copy of what a stage left, and its place, with which it goes.
fn copy(stage: &Stage) -> (Database, Box<dyn Any>) {
    if let Some(home) = &stage.home {
        let copy = home.copy();
        return (Database::on_postgres(copy.url()), Box::new(copy));
    }
    let directory = TempDir::new().unwrap();
    for file in [stage.database.file(), &stage.database.key_file()] {
        let name = file.file_name().unwrap();
        std::fs::copy(file, directory.path().join(name)).unwrap();
    }
    (
        Database::in_directory(directory.path()),
        Box::new(directory),
    )
}
