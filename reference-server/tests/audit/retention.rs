use identity_store::{AuditStore as _, Month, Retired};
use reference_server::audit::retention::retire;
use reference_server::audit::verify::VerifyError;

use crate::months::{FEBRUARY, JANUARY, acme, record};
use crate::world::{MARCH, World};

impl World {
    async fn retire(&self, last: time::OffsetDateTime) -> Result<Retired, VerifyError> {
        retire(&self.store, self.folder.path(), Month::of(last)).await
    }

    async fn places(&self) -> Vec<u64> {
        let rows = self.store.sealed_audit(&acme(), 0, 100).await.unwrap();
        rows.iter().map(|row| row.position).collect()
    }
}

#[tokio::test]
async fn a_month_goes_when_its_archive_verifies_and_the_chain_goes_on() {
    let world = World::new().await;
    world.archive(JANUARY).await;
    world.archive(FEBRUARY).await;
    let retired = world.retire(JANUARY).await.unwrap();
    // The tenant's piece, and the platform's.
    assert_eq!((retired.pieces, retired.unarchived), (2, 0));
    assert_eq!(world.places().await, (11..=20).collect::<Vec<_>>());
    assert!(world.verify().await.iter().all(Result::is_ok));

    assert_eq!(world.retire(FEBRUARY).await.unwrap().pieces, 1);
    assert!(world.places().await.is_empty());
    record(&world.store, &acme(), MARCH, "req-march").await;
    world.store.seal_audit(9).await.unwrap();
    let outcomes = world.verify().await;
    assert_eq!(outcomes[1].as_ref().unwrap().head.length, 21);
}

#[tokio::test]
async fn what_is_not_archived_stays() {
    let world = World::new().await;
    let retired = world.retire(FEBRUARY).await.unwrap();
    assert_eq!((retired.pieces, retired.unarchived), (0, 2));
    world.archive(JANUARY).await;
    let retired = world.retire(FEBRUARY).await.unwrap();
    assert_eq!((retired.pieces, retired.unarchived), (2, 1));
    // A row of January that comes late is of no archive: it stays, and so does what is with it.
    record(&world.store, &acme(), JANUARY, "req-late").await;
    world.store.seal_audit(9).await.unwrap();
    assert_eq!(world.retire(JANUARY).await.unwrap().unarchived, 1);
    // The next month's archive has it.
    world.archive(FEBRUARY).await;
    let retired = world.retire(FEBRUARY).await.unwrap();
    assert_eq!((retired.pieces, retired.unarchived), (1, 0));
    assert!(world.verify().await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn nothing_goes_when_a_file_is_tampered_with_missing_or_short() {
    let world = World::new().await;
    world.archive(JANUARY).await;
    let file = world.file(JANUARY);
    let whole = std::fs::read(&file).unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    let last_line = text.trim_end().rfind('\n').unwrap() + 1;
    let edited = text.replace("req-2020-01-4", "req-2020-01-x");
    let longer = format!("{text}{}", &text[last_line..]);
    let spaced = text.replacen(',', ", ", 1);
    for tampered in [&edited, &text[..last_line], &longer, &spaced, ""] {
        std::fs::write(&file, tampered).unwrap();
        assert!(world.retire(JANUARY).await.unwrap_err().is_finding());
        assert_eq!(world.places().await.len(), 20);
    }
    std::fs::remove_file(&file).unwrap();
    assert!(world.retire(JANUARY).await.unwrap_err().is_finding());
    assert_eq!(world.places().await.len(), 20);

    std::fs::write(&file, &whole).unwrap();
    assert_eq!(world.retire(JANUARY).await.unwrap().pieces, 2);
}
