//! What a hand in the database can do to the audit trail is found, and named at the right row.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a story that goes wrong panics: that is its report"
)]

use identity_pki::TenantId;
use identity_store::{
    Actor, AuditStore as _, BrokenChain, Chain, ChainFault, ChainHead, ChainWalk, Change, Event,
    SealedRow, SqlStore, TenantStore as _,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::signed_heads::seal_and_sign;

const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);
const ROWS: u64 = 9;
const CASES: usize = 64;

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

/// Gives the tenant a chain of [`ROWS`] rows, with a signed head.
async fn seal_rows(store: &SqlStore) {
    let change = |request_id| Change::new(NOW, Actor::System("test"), request_id);
    let named = store.create_tenant(change("req".to_owned()), acme(), "Acme".to_owned());
    named.await.unwrap();
    for number in 0..ROWS {
        let event = Event::TokenIssued {
            client_id: format!("cli_{:026}", number).parse().unwrap(),
            scope: "devices.read".to_owned(),
            challenge_id: None,
        };
        let change = change(format!("req-{number}"));
        let recorded = store.record(change, Chain::Tenant(acme()), vec![event]);
        recorded.await.unwrap();
    }
    seal_and_sign(store).await;
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
    "prev_hash = (SELECT hash FROM audit_chains WHERE tenant_id = '')",
    "hash = (SELECT hash FROM audit_chains WHERE tenant_id = '')",
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

    fn statements(&self) -> Vec<String> {
        const OF: &str = "WHERE tenant_id = 'acme' AND chain_position";
        let columns = "id, tenant_id, at, actor_type, actor_id, action, outcome, severity, subject,
                       request_id, ip, metadata, prev_hash, hash";
        match self {
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
                // Before the first row is what the first row was linked to.
                format!(
                    "UPDATE audit_chains SET length = {at} - 1, hash =
                         (SELECT prev_hash FROM kept_rows {OF} = {at})
                     WHERE tenant_id = 'acme'"
                ),
            ],
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
async fn verify(store: &SqlStore) -> (Vec<SealedRow>, Result<ChainHead, BrokenChain>) {
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
    (read, walk.finish_at(head))
}

/// Tampers with an empty store's database, through `run`, in one way after the other.
pub(crate) async fn whatever_is_done_to_the_rows_is_found_at_the_right_one(
    store: &SqlStore,
    mut run: impl AsyncFnMut(&str),
) {
    seal_rows(store).await;
    for table in ["rows", "chains"] {
        let keep = format!("CREATE TABLE kept_{table} AS SELECT * FROM audit_{table}");
        run(&keep).await;
    }
    let mut runner = TestRunner::default();
    for _ in 0..CASES {
        let (rows, head) = verify(store).await;
        assert_eq!((rows.len(), head.unwrap().length), (9, ROWS));
        let tampering = Tampering::any().new_tree(&mut runner).unwrap().current();
        for statement in tampering.statements() {
            run(&statement).await;
        }
        let (rows, found) = verify(store).await;
        let Err(broken) = found else {
            panic!("nothing was found of {tampering:?}");
        };
        let id = broken.row.map(|id| id.to_string());
        let found = (broken.position, id, broken.fault);
        assert_eq!(found, tampering.expected(&rows), "{tampering:?}");
        for table in ["rows", "chains"] {
            run(&format!("DELETE FROM audit_{table}")).await;
            let back = format!("INSERT INTO audit_{table} SELECT * FROM kept_{table}");
            run(&back).await;
        }
    }
}
