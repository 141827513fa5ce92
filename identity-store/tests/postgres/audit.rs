//! What several writers, a sealer and partitions do to one another.

use identity_store::{
    Actor, AuditArchiveStore as _, AuditStore as _, Chain, ChainFault, ChainWalk, Change, Event,
    Month, Sealed, SqlStore, Store as _,
};
use postgres_cluster::Database;
use sqlx::Connection as _;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::sql::{raw, run};
use crate::{open, tampering};

pub(crate) const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);

/// Raises an alert: an audit row and an event.
pub(crate) async fn alert(store: &SqlStore, kind: &'static str, moment: OffsetDateTime) {
    let change = Change::new(moment, Actor::System("test"), "req-test");
    let event = vec![Event::OpsAlert { kind }];
    let recorded = store.record(change, Chain::Platform, event);
    recorded.await.unwrap();
}

pub(crate) async fn verify(store: &SqlStore) -> Result<u64, (u64, ChainFault)> {
    let mut walk = ChainWalk::of(Chain::Platform);
    let mut after = 0;
    loop {
        let rows = store
            .sealed_audit(&Chain::Platform, after, 2)
            .await
            .unwrap();
        let Some(last) = rows.last() else { break };
        after = last.position;
        rows.iter().for_each(|row| walk.step(row).unwrap());
    }
    let head = store.chain_head(&Chain::Platform).await.unwrap();
    let walked = walk.finish_at(head);
    walked
        .map(|head| head.length)
        .map_err(|broken| (broken.position, broken.fault))
}

pub(crate) async fn writers_never_wait_for_a_sealer_in_the_middle_of_its_turn(database: Database) {
    let stores = [open(&database).await, open(&database).await];
    for store in &stores {
        alert(store, "license_capacity", NOW).await;
    }
    // A sealer that holds everything that a turn holds, and does not go on.
    let mut sealer = raw(&database).await;
    for statement in [
        "BEGIN",
        "SELECT outbox_position FROM audit_sealer FOR UPDATE",
        "INSERT INTO audit_rows SELECT tenant_id, position, id, at, actor_type, actor_id, action,
             outcome, severity, subject, request_id, ip, metadata, '\\x00', '\\x01'
         FROM audit_intake",
        "INSERT INTO audit_chains (tenant_id, length, hash) VALUES ('', 2, '\\x01')",
        "DELETE FROM audit_intake",
        "DELETE FROM outbox_intake",
        "UPDATE audit_sealer SET outbox_position = 2",
    ] {
        run(&mut sealer, statement).await;
    }
    // Each of these would wait for ever.
    for _ in 0..5 {
        for store in &stores {
            alert(store, "license_capacity", NOW).await;
        }
    }
    // It is killed: its connection ends, and nothing of its turn is there.
    sealer.close_hard().await.unwrap();
    assert_eq!(stores[0].unsealed_audit(None).await.unwrap(), 12);
    let expected = Sealed {
        rows: 12,
        events: 12,
    };
    assert_eq!(stores[1].seal_audit(100).await.unwrap(), expected);
    assert_eq!(verify(&stores[0]).await, Ok(12));
    for store in stores {
        store.close().await;
    }
}

pub(crate) async fn a_change_that_becomes_visible_late_is_skipped_by_no_reader(database: Database) {
    let store = open(&database).await;
    // A change that took its number first and commits last.
    let mut late = raw(&database).await;
    for statement in [
        "BEGIN",
        "INSERT INTO outbox_intake (tenant_id, event_id, event_type, subject, at, data)
         VALUES ('', 'evt_00000000000000000000000001', 'platform.ops_alert', 'late', 0, '{}')",
    ] {
        run(&mut late, statement).await;
    }
    for kind in ["first", "second"] {
        alert(&store, kind, NOW).await;
    }
    store.seal_audit(100).await.unwrap();
    let read = store.outbox(0, 9).await.unwrap();
    let last = read.last().unwrap().position;
    assert_eq!(last, 2);
    run(&mut late, "COMMIT").await;
    alert(&store, "late", NOW).await;
    store.seal_audit(100).await.unwrap();
    let read = store.outbox(last, 9).await.unwrap();
    let told: Vec<_> = read
        .iter()
        .map(|event| (event.position, event.subject.as_str(), event.sequence))
        .collect();
    assert_eq!(told, [(3, "late", 1), (4, "late", 2)]);
    late.close().await.unwrap();
    store.close().await;
}

pub(crate) async fn months_are_partitions_and_a_clock_that_is_off_finds_one(database: Database) {
    let store = open(&database).await;
    let november = Month::of(NOW);
    let months = [november, november.next(), november.next().next()];
    assert_eq!(store.prepare_audit_months(&months).await.unwrap(), 0);
    let far = datetime!(2099-01-15 00:00 UTC);
    for moment in [
        NOW,
        november.next().start(),
        OffsetDateTime::UNIX_EPOCH,
        far,
    ] {
        alert(&store, "license_capacity", moment).await;
    }
    store.seal_audit(100).await.unwrap();
    // Again, and beside another replica, nothing changes; two rows are in nobody's month.
    let other = open(&database).await;
    let (one, two) = tokio::join!(
        store.prepare_audit_months(&months),
        other.prepare_audit_months(&months)
    );
    assert_eq!((one.unwrap(), two.unwrap()), (2, 2));
    let mut conn = raw(&database).await;
    let partitions = "SELECT tableoid::regclass::text FROM audit_rows ORDER BY chain_position";
    let found: Vec<String> = sqlx::query_scalar(partitions)
        .fetch_all(&mut conn)
        .await
        .unwrap();
    let expected = [
        "audit_rows_2026_11",
        "audit_rows_2026_12",
        "audit_rows_default",
        "audit_rows_default",
    ];
    assert_eq!(found, expected);
    // A month that is made late takes its rows out of the default partition.
    let strays = store.prepare_audit_months(&[Month::of(far)]).await.unwrap();
    assert_eq!(strays, 1);
    assert_eq!(verify(&store).await, Ok(4));
    conn.close().await.unwrap();
    store.close().await;
    other.close().await;
}

pub(crate) async fn rows_that_claim_one_place_do_not_hide_behind_the_end_of_a_page(
    database: Database,
) {
    let store = open(&database).await;
    for _ in 0..6 {
        alert(&store, "license_capacity", NOW).await;
    }
    store.seal_audit(100).await.unwrap();
    assert_eq!(verify(&store).await, Ok(6));
    let mut conn = raw(&database).await;
    // No index over partitions keeps a second row out of the same place.
    let forged = "INSERT INTO audit_rows SELECT tenant_id, chain_position, id || 'x', at + 1,
                      actor_type, actor_id, action, outcome, severity, subject, request_id, ip,
                      metadata, prev_hash, hash
                  FROM audit_rows WHERE chain_position = 2";
    let forged = forged.replace("id || 'x'", "'aud_0000000000000000000000zzzz'");
    run(&mut conn, &forged).await;
    let (position, fault) = verify(&store).await.unwrap_err();
    assert!((2..=3).contains(&position), "{position}");
    assert_eq!(fault, ChainFault::Edited);
    conn.close().await.unwrap();
    store.close().await;
}

pub(crate) async fn whatever_is_done_to_the_rows_is_found_at_the_right_one(database: Database) {
    let store = open(&database).await;
    let november = [Month::of(NOW)];
    store.prepare_audit_months(&november).await.unwrap();
    let mut conn = raw(&database).await;
    let tamper = async |statement: &str| run(&mut conn, statement).await;
    tampering::whatever_is_done_to_the_rows_is_found_at_the_right_one(&store, tamper).await;
    conn.close().await.unwrap();
    store.close().await;
}
