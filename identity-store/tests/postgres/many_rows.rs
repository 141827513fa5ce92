//! What takes no longer, or holds nobody up for longer, with very many rows.

use identity_store::{
    AuditArchiveStore as _, IdempotencyStore as _, Month, OperatorStore as _, RateLimitStore as _,
    Retired, Store as _,
};
use postgres_cluster::{Database, ask, execute, refusal};
use sqlx::Connection as _;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::open;
use crate::sql::{raw, run, wait_for_waiting, wait_until};

pub(crate) async fn answers_that_are_over_go_in_batches(database: Database) {
    let store = open(&database).await;
    let mut other = raw(&database).await;
    let answers = "
        INSERT INTO idempotent_answers (request_key, body_sha256, lease_until, keep_until)
        SELECT decode(lpad(to_hex(number), 64, '0'), 'hex'), '\\x00', 0, number
        FROM generate_series(1, 2500) AS number";
    run(&mut other, answers).await;
    run(&mut other, "BEGIN").await;
    let last = "SELECT 1 FROM idempotent_answers WHERE keep_until = 2500 FOR UPDATE";
    run(&mut other, last).await;
    let purge = tokio::spawn({
        let store = store.clone();
        async move {
            store
                .purge_answers(OffsetDateTime::UNIX_EPOCH + time::Duration::MINUTE)
                .await
        }
    });
    // The last batch waits; the two before it are gone.
    wait_for_waiting(&database, 1).await;
    wait_until(&database, "count(*) = 500 FROM idempotent_answers").await;
    // Meanwhile a request takes the key again.
    let again = "UPDATE idempotent_answers SET keep_until = 60001 WHERE keep_until = 2500";
    run(&mut other, again).await;
    run(&mut other, "COMMIT").await;
    assert_eq!(purge.await.unwrap().unwrap(), 2499);
    wait_until(&database, "count(*) = 1 FROM idempotent_answers").await;
    other.close().await.unwrap();
    store.close().await;
}

pub(crate) async fn more_sign_ins_and_buckets_than_one_transaction_purges_go(database: Database) {
    let store = open(&database).await;
    let mut other = raw(&database).await;
    for rows in [
        "INSERT INTO login_failures SELECT '\\x00', number FROM generate_series(1, 2500) AS number",
        "INSERT INTO rate_limit_buckets
         SELECT decode(lpad(to_hex(number), 64, '0'), 'hex'), number % 10000
         FROM generate_series(1, 12000) AS number",
    ] {
        run(&mut other, rows).await;
    }
    let at = |ms| OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(ms);
    for (before, purged) in [(2400, 2399), (2501, 101), (2501, 0)] {
        let count = store.purge_sign_ins(at(0), at(before)).await.unwrap();
        assert_eq!(count, purged, "{before}");
    }
    for (full_at, purged) in [(0, 1), (2000, 4000), (8999, 6999), (9999, 1000)] {
        let count = store.purge_buckets(at(full_at)).await.unwrap();
        assert_eq!(count, purged, "{full_at}");
    }
    other.close().await.unwrap();
    store.close().await;
}

pub(crate) async fn what_no_archive_holds_is_found_without_reading_all_of_it(database: Database) {
    const READ: &str = "
        SELECT ((SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname LIKE 'audit_rows%')
              + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname LIKE 'audit_rows%')
               )::text";
    let october = Month::of(datetime!(2026-10-31 10:00 UTC));
    let store = open(&database).await;
    store.prepare_audit_months(&[october]).await.unwrap();
    let end = october.next().start().unix_timestamp() * 1000;
    let rows = format!(
        "INSERT INTO audit_rows
         SELECT chain, place, 'aud_' || place, {end} - place, 'system', 'test', 'test', 'ok', 'info',
                '', 'req', NULL, '{{}}', '\\x00', '\\x01'
         FROM unnest(ARRAY['', 'acme', 'globex']) chain, generate_series(1, 2000) place"
    );
    run(&mut raw(&database).await, &rows).await;
    let retired = store.retire_audit(october, Vec::new()).await.unwrap();
    let nothing = Retired {
        pieces: 0,
        unarchived: 3,
    };
    assert_eq!(retired, nothing);
    store.close().await;
    let (url, dropping) = (database.url(), format!("SELECT drop_audit_months({end})"));
    let is_refused = || {
        let refused = refusal(url, &dropping);
        assert_eq!(refused, "audit rows that no archive holds are not dropped");
    };
    is_refused();
    // Each session leaves its count when it ends.
    wait_until(
        &database,
        "count(*) = 1 FROM pg_stat_activity WHERE datname = current_database()",
    )
    .await;
    let read: u64 = ask(url, READ).unwrap().parse().unwrap();
    assert!((1..100).contains(&read), "{read} of 6000 rows, twice");
    // The last row of each chain counts, and no chain is passed over.
    let archive = |chain: &str, length: u16| {
        let manifest = format!(
            "INSERT INTO audit_archives VALUES ('{chain}', '{length}', 1, 'aud_1', 'aud_2', 0, '\\x00',
                                                {length}, '\\x00', '\\x00', 'file', FALSE)"
        );
        execute(url, &manifest);
    };
    for (chain, length) in [("", 2000), ("globex", 2000), ("acme", 1999)] {
        archive(chain, length);
        is_refused();
    }
    archive("acme", 2000);
    execute(url, &dropping);
    wait_until(&database, "count(*) = 0 FROM audit_rows").await;
}
