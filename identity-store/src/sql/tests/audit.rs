//! Turns of the sealer that end half-way, and what waited for one in an earlier schema.

use sqlx::{AssertSqlSafe, ConnectOptions as _};
use time::OffsetDateTime;

use super::{File, change, close, sqlite};
use crate::sql::schema::migrator;
use crate::{
    AuditActor, AuditRow, AuditStore as _, Chain, ChainHead, ChainWalk, Event, Outcome, Severity,
    audit_hash,
};

#[tokio::test]
async fn a_turn_that_ends_half_way_leaves_nothing_half_done() {
    let file = File::new();
    let store = file.open().await;
    super::waiting_device(&store).await.unwrap();
    let mut raw = file.raw().await;
    let unsealed = store.unsealed_audit(None).await.unwrap();
    // Each statement of the turn in its turn is the one that it does not survive.
    for (table, operation) in [
        ("audit_rows", "INSERT"),
        ("audit_intake", "DELETE"),
        ("audit_chains", "INSERT"),
        ("outbox", "INSERT"),
        ("outbox_intake", "DELETE"),
        ("audit_sealer", "UPDATE"),
    ] {
        let trap = format!(
            "CREATE TRIGGER trap BEFORE {operation} ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END"
        );
        let set = sqlx::query(AssertSqlSafe(trap));
        set.execute(&mut raw).await.unwrap();
        store.seal_audit(100).await.unwrap_err();
        assert_eq!(
            store.unsealed_audit(None).await.unwrap(),
            unsealed,
            "{table}"
        );
        assert_eq!(store.outbox(0, 9).await.unwrap(), [], "{table}");
        let head = store.chain_head(&Chain::Platform).await.unwrap();
        assert_eq!(head, ChainHead::EMPTY, "{table}");
        let dropped = sqlx::query("DROP TRIGGER trap");
        dropped.execute(&mut raw).await.unwrap();
    }
    let sealed = store.seal_audit(100).await.unwrap();
    assert_eq!(sealed.rows, unsealed);
    assert_eq!(
        store.outbox(0, 9).await.unwrap().len() as u64,
        sealed.events
    );
    close(store, raw).await;
}

#[tokio::test]
async fn what_waited_in_an_earlier_schema_is_sealed_behind_the_rest() {
    let file = File::new();
    let options = sqlite::writer_options(file.path().to_str().unwrap());
    let mut raw = options.connect().await.unwrap();
    let mut earlier = sqlite::MIGRATIONS.iter();
    let earlier = earlier.position(|(name, _)| *name == "audit and outbox");
    migrator(&sqlite::MIGRATIONS[..earlier.unwrap()])
        .run_direct(None, &mut raw, false)
        .await
        .unwrap();
    let rows = "INSERT INTO audit_rows (id, tenant_id, chain_position, at, actor_type, actor_id,
                    action, outcome, severity, subject, request_id, metadata, prev_hash, hash)
                SELECT 'aud_0000000000000000000000000' || number, '', place, 0, 'system', 'test',
                    'device_paired', 'failed', 'info', '', 'req-' || number, '{}', previous, hash
                FROM (SELECT 1 AS number, 1 AS place, zeroblob(32) AS previous, ?1 AS hash
                      UNION ALL SELECT 2, NULL, NULL, NULL)";
    let first = AuditRow {
        id: "aud_00000000000000000000000001".parse().unwrap(),
        at: OffsetDateTime::UNIX_EPOCH,
        tenant_id: None,
        actor: AuditActor {
            kind: "system".to_owned(),
            id: "test".to_owned(),
        },
        action: "device_paired".to_owned(),
        outcome: Outcome::Failed,
        severity: Severity::Info,
        subject: String::new(),
        request_id: "req-1".to_owned(),
        ip: None,
        metadata: serde_json::json!({}),
    };
    let hash = audit_hash(&[0; 32], &first).unwrap();
    let inserted = sqlx::query(rows).bind(&hash[..]).execute(&mut raw).await;
    inserted.unwrap();
    let events = "INSERT INTO outbox (tenant_id, event_id, event_type, subject, sequence, at, data)
                  VALUES ('', 'evt_00000000000000000000000001', 'platform.ops_alert', 'kind', 1, 0, '{}')";
    sqlx::query(events).execute(&mut raw).await.unwrap();

    let store = file.open().await;
    let head = store.chain_head(&Chain::Platform).await.unwrap();
    assert_eq!(head, ChainHead { length: 1, hash });
    let alert = Event::OpsAlert { kind: "kind" };
    let recorded = store.record(change(), Chain::Platform, vec![alert]);
    recorded.await.unwrap();
    let sealed = store.seal_audit(100).await.unwrap();
    assert_eq!((sealed.rows, sealed.events), (2, 1));
    let rows = store.sealed_audit(&Chain::Platform, 0, 9).await.unwrap();
    let mut walk = ChainWalk::of(Chain::Platform);
    rows.iter().for_each(|row| walk.step(row).unwrap());
    assert_eq!(walk.finish().unwrap().length, 3);
    let events = store.outbox(0, 9).await.unwrap();
    let places: Vec<_> = events.iter().map(|e| (e.position, e.sequence)).collect();
    assert_eq!(places, [(1, 1), (2, 2)]);
    close(store, raw).await;
}
