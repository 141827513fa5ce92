//! Holders of a lease that stop between reading and writing, while another has it.

use std::sync::Arc;

use identity_store::{
    AuditStore as _, CertificateStore as _, PURGE_MARGIN, Sealed, SqlStore, Store as _,
};
use postgres_cluster::Database;
use sqlx::{Connection as _, PgConnection};
use time::Duration;
use tokio::task::JoinHandle;

use crate::audit::{NOW, alert, verify};
use crate::open;
use crate::sql::{raw, run, wait_for_waiting};

/// One that holds the lease and stopped, and one that has it since.
struct Two {
    late: Arc<SqlStore>,
    next: Arc<SqlStore>,
    /// Keeps writers out of a table that may be read.
    gate: PgConnection,
}

impl Two {
    async fn before(database: &Database, table: &str) -> Self {
        let mut gate = raw(database).await;
        let (late, next) = (open(database).await, open(database).await);
        run(&mut gate, "BEGIN").await;
        run(&mut gate, &format!("LOCK TABLE {table} IN SHARE MODE")).await;
        Self {
            late: Arc::new(late),
            next: Arc::new(next),
            gate,
        }
    }

    async fn close(self) {
        self.gate.close().await.unwrap();
        self.late.close().await;
        self.next.close().await;
    }
}

fn seal(store: &Arc<SqlStore>) -> JoinHandle<identity_store::Result<Sealed>> {
    let store = Arc::clone(store);
    tokio::spawn(async move { store.seal_audit(100).await })
}

async fn has_places(store: &SqlStore, rows: u64) {
    assert_eq!(store.unsealed_audit(None).await.unwrap(), 0);
    assert_eq!(verify(store).await, Ok(rows));
    let outbox = store.outbox(0, 100).await.unwrap();
    let places = outbox.iter().map(|event| event.position);
    assert!(places.eq(1..=rows), "{outbox:?}");
}

pub(crate) async fn a_sealer_that_goes_on_late_gives_no_place_twice(database: Database) {
    let mut two = Two::before(&database, "audit_rows").await;
    for kind in ["first", "second", "third"] {
        alert(&two.late, kind, NOW).await;
    }
    let late = seal(&two.late);
    wait_for_waiting(&database, 1).await;
    alert(&two.next, "fourth", NOW).await;
    let next = seal(&two.next);
    wait_for_waiting(&database, 2).await;
    run(&mut two.gate, "COMMIT").await;
    let (late, next) = (late.await.unwrap().unwrap(), next.await.unwrap().unwrap());
    assert_eq!((late.rows, next.rows), (3, 1));
    assert_eq!(late.events + next.events, 4);
    has_places(&two.next, 4).await;
    two.close().await;
}

pub(crate) async fn a_sealer_whose_session_ended_while_it_slept_leaves_all_to_the_next(
    database: Database,
) {
    let mut two = Two::before(&database, "audit_rows").await;
    for kind in ["first", "second", "third"] {
        alert(&two.late, kind, NOW).await;
    }
    let late = seal(&two.late);
    wait_for_waiting(&database, 1).await;
    // What `idle_in_transaction_session_timeout` does to a process that is stopped.
    run(
        &mut two.gate,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock'",
    )
    .await;
    late.await.unwrap().unwrap_err();
    let next = seal(&two.next);
    wait_for_waiting(&database, 1).await;
    run(&mut two.gate, "COMMIT").await;
    let all = Sealed { rows: 3, events: 3 };
    assert_eq!(next.await.unwrap().unwrap(), all);
    // It wakes up, and finds nothing to do.
    let late = seal(&two.late).await.unwrap().unwrap();
    assert_eq!(late, Sealed { rows: 0, events: 0 });
    has_places(&two.late, 3).await;
    two.close().await;
}

pub(crate) async fn a_purge_that_goes_on_late_forgets_nothing_live(database: Database) {
    let setup = open(&database).await;
    let purge = async |store: &SqlStore, now, step| store.purge_denials(now, step).await.unwrap();
    assert_eq!(purge(&setup, NOW, Duration::ZERO).await, 0);
    setup.close().await;
    let mut conn = raw(&database).await;
    // Certificates that expire a day, two and three behind where the purge stands.
    for day in 1..=3 {
        let expires = NOW - PURGE_MARGIN + Duration::days(day);
        let denied = format!(
            "INSERT INTO revoked_cert_fingerprints (tenant_id, device_id, fingerprint, tbs_sha256,
                 reason, revoked_at, revoked_by, not_after, serial, ca_fingerprint)
             SELECT 'acme', 'dev_1', digest, digest, 'revoked', 0, 'test', {}, substr(digest, 1, 20),
                    digest
             FROM decode(repeat('0{day}', 32), 'hex') AS digest",
            expires.unix_timestamp() * 1000 - 1
        );
        run(&mut conn, &denied).await;
    }
    conn.close().await.unwrap();
    let mut two = Two::before(&database, "revoked_cert_fingerprints").await;
    let turn = |store: &Arc<SqlStore>| {
        let store = Arc::clone(store);
        // Both have clocks that are years ahead.
        let now = NOW + Duration::days(4000);
        tokio::spawn(async move { store.purge_denials(now, Duration::DAY).await })
    };
    let late = turn(&two.late);
    wait_for_waiting(&database, 1).await;
    let next = turn(&two.next);
    wait_for_waiting(&database, 2).await;
    run(&mut two.gate, "COMMIT").await;
    assert_eq!(late.await.unwrap().unwrap(), 1);
    assert_eq!(next.await.unwrap().unwrap(), 1);
    assert_eq!(two.next.denials(0, 9).await.unwrap().len(), 1);
    two.close().await;
}
