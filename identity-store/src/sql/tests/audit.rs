//! What a hand in the database can do to the audit trail is found, and named at the right row.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sqlx::{AssertSqlSafe, ConnectOptions as _, SqliteConnection};
use time::OffsetDateTime;

use super::{File, NOW, acme, change, close, sqlite};
use crate::sql::schema::migrator;
use crate::{
    Actor, AuditActor, AuditRow, AuditStore as _, BrokenChain, Chain, ChainFault, ChainHead,
    ChainWalk, Change, Event, Outcome, SealedRow, Severity, SignedHead, Store as _,
    TenantStore as _, audit_hash,
};

const ROWS: u64 = 9;

/// A store whose tenant has a chain of [`ROWS`] rows, with a signed head.
async fn sealed_file() -> File {
    let file = File::new();
    let store = file.open().await;
    let named = store.create_tenant(change(), acme(), "Acme".to_owned());
    named.await.unwrap();
    for number in 0..ROWS {
        let change = Change::new(NOW, Actor::System("test"), format!("req-{number}"));
        let event = Event::TokenIssued {
            client_id: format!("cli_{:026}", number).parse().unwrap(),
            scope: "devices.read".to_owned(),
        };
        let recorded = store.record(change, Chain::Tenant(acme()), vec![event]);
        recorded.await.unwrap();
    }
    store.seal_audit(100).await.unwrap();
    let heads = store.unsigned_heads(9).await.unwrap();
    let signed = heads.into_iter().map(|(chain, head)| SignedHead {
        chain,
        head,
        signature: "a signature".to_owned(),
    });
    store.keep_signed_heads(signed.collect()).await.unwrap();
    store.close().await;
    file
}

/// Something that a hand in the database does.
#[derive(Debug, Clone)]
enum Tampering {
    /// Changes a column of the row in a place.
    Edit(u64, &'static str),
    /// Takes the row in a place away.
    Drop(u64),
    /// Lets two rows change places.
    Swap(u64, u64),
    /// Puts a copy of the row in the second place, under an id of its own, into the first.
    Insert(u64, u64),
    /// Takes all rows from a place on away, and makes the chain's noted head fit.
    CutOff(u64),
}

/// Every column of a row with another value.
const EDITS: [&str; 13] = [
    "id = 'aud_00000000000000000000000000'",
    "at = at + 1",
    "actor_type = 'operator'",
    "actor_id = actor_id || 'x'",
    "action = 'device_paired'",
    "outcome = 'failed'",
    "severity = 'critical'",
    "subject = subject || 'x'",
    "request_id = request_id || 'x'",
    "ip = '192.0.2.1'",
    "metadata = '{}'",
    "prev_hash = randomblob(32)",
    "hash = randomblob(32)",
];

impl Tampering {
    fn any() -> impl Strategy<Value = Self> {
        let place = || 1..=ROWS;
        prop_oneof![
            (place(), proptest::sample::select(&EDITS[..]))
                .prop_map(|(at, set)| Self::Edit(at, set)),
            place().prop_map(Self::Drop),
            (place(), place())
                .prop_filter("two rows", |(one, other)| one < other)
                .prop_map(|(one, other)| Self::Swap(one, other)),
            (place(), place()).prop_map(|(at, of)| Self::Insert(at, of)),
            place().prop_map(Self::CutOff),
        ]
    }

    async fn commit(&self, conn: &mut SqliteConnection) {
        const OF: &str = "WHERE tenant_id = 'acme' AND chain_position";
        let columns = "id, tenant_id, at, actor_type, actor_id, action, outcome, severity, subject,
                       request_id, ip, metadata, prev_hash, hash";
        let statements = match self {
            Self::Edit(at, set) => vec![format!("UPDATE audit_rows SET {set} {OF} = {at}")],
            Self::Drop(at) => vec![format!("DELETE FROM audit_rows {OF} = {at}")],
            Self::Swap(one, other) => vec![
                format!("UPDATE audit_rows SET chain_position = 0 {OF} = {one}"),
                format!("UPDATE audit_rows SET chain_position = {one} {OF} = {other}"),
                format!("UPDATE audit_rows SET chain_position = {other} {OF} = 0"),
            ],
            Self::Insert(at, of) => vec![
                format!(
                    "UPDATE audit_rows SET chain_position = chain_position + 1000 {OF} >= {at}"
                ),
                format!(
                    "INSERT INTO audit_rows (chain_position, {columns})
                     SELECT {at}, 'aud_0000000000000000000000c0p7', {} FROM audit_rows
                     {OF} IN ({of}, {of} + 1000)",
                    columns.trim_start_matches("id, ")
                ),
                format!("UPDATE audit_rows SET chain_position = chain_position - 999 {OF} > 1000"),
            ],
            Self::CutOff(at) => vec![
                format!("DELETE FROM audit_rows {OF} >= {at}"),
                format!(
                    "UPDATE audit_chains SET length = {at} - 1, hash = coalesce(
                         (SELECT hash FROM audit_rows {OF} = {at} - 1), zeroblob(32))
                     WHERE tenant_id = 'acme'"
                ),
            ],
        };
        for statement in statements {
            let run = sqlx::query(AssertSqlSafe(statement));
            run.execute(&mut *conn).await.unwrap();
        }
    }

    /// Where the chain is broken then, `rows` being the ones that are there.
    fn expected(&self, rows: &[SealedRow]) -> (u64, Option<String>, ChainFault) {
        let id = |place: u64| {
            let row = rows.get(usize::try_from(place).unwrap() - 1);
            row.map(|row| row.row.id.to_string())
        };
        match *self {
            Self::Edit(at, _) => (at, id(at), ChainFault::Edited),
            Self::Drop(ROWS) => (ROWS, None, ChainFault::CutOff),
            Self::Drop(at) => (at, id(at), ChainFault::Missing),
            Self::Swap(one, _) => (one, id(one), ChainFault::OutOfPlace),
            // The copy has another id: it does not fit the hash that it brought along.
            Self::Insert(at, _) => (at, id(at), ChainFault::Edited),
            Self::CutOff(at) => (at, None, ChainFault::CutOff),
        }
    }
}

/// Reads the chain a few rows at a time and verifies it.
async fn verify(file: &File) -> (Vec<SealedRow>, Result<ChainHead, BrokenChain>) {
    let store = file.open().await;
    let chain = Chain::Tenant(acme());
    let state = store.chains(Some(&Chain::Platform), 1).await.unwrap();
    let signed = state[0].signed.as_ref().map(|signed| signed.head);
    let mut walk = ChainWalk::of(chain.clone()).expecting(signed);
    let mut read: Vec<SealedRow> = Vec::new();
    loop {
        let after = read.last().map_or(0, |row| row.position);
        let rows = store.sealed_audit(&chain, after, 4).await.unwrap();
        if rows.is_empty() {
            break;
        }
        rows.iter().for_each(|row| walk.step(row).unwrap());
        read.extend(rows);
    }
    let head = store.chain_head(&chain).await.unwrap();
    store.close().await;
    (read, walk.finish_at(head))
}

#[test]
fn whatever_is_done_to_the_rows_is_found_at_the_right_one() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let whole = runtime.block_on(sealed_file());
    let (rows, head) = runtime.block_on(verify(&whole));
    assert_eq!(rows.len(), 9);
    assert_eq!(head.unwrap().length, ROWS);
    let config = ProptestConfig::with_cases(64);
    let tampered = TestRunner::new(config).run(&Tampering::any(), |tampering| {
        runtime.block_on(async {
            let file = File::new();
            std::fs::copy(whole.path(), file.path()).unwrap();
            let mut raw = file.raw().await;
            tampering.commit(&mut raw).await;
            let store = file.open().await;
            close(store, raw).await;
            let (rows, found) = verify(&file).await;
            let Err(broken) = found else {
                return Err(TestCaseError::fail("nothing was found"));
            };
            let expected = tampering.expected(&rows);
            let id = broken.row.map(|id| id.to_string());
            prop_assert_eq!((broken.position, id, broken.fault), expected);
            Ok(())
        })
    });
    tampered.unwrap();
}

#[tokio::test]
async fn a_turn_that_ends_half_way_leaves_nothing_half_done() {
    let file = File::new();
    let store = file.open().await;
    super::waiting_device(&store).await.unwrap();
    let mut raw = file.raw().await;
    let unsealed = store.unsealed_audit().await.unwrap();
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
        assert_eq!(store.unsealed_audit().await.unwrap(), unsealed, "{table}");
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
