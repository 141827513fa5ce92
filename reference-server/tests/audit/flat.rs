//! An export of very many rows.

use reqwest::Method;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::harness::Platform;

/// Sealed rows of a tenant's chain. No verification would pass them: their hashes are random.
const MANY_ROWS: &str = "
    BEGIN IMMEDIATE;
    INSERT INTO audit_rows (id, tenant_id, chain_position, at, actor_type, actor_id, action, outcome,
                            severity, subject, request_id, ip, metadata, prev_hash, hash)
    WITH RECURSIVE
        number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 200000),
        head (place) AS (SELECT coalesce(max(chain_position), 0) FROM audit_rows
                         WHERE tenant_id = 'acme')
    SELECT printf('aud_%026d', n), 'acme', place + n, 1790000000000 + n, 'device', 'dev_seed',
           'verification_complete', 'succeeded', 'info', 'ch_seed', 'req-' || n, '127.0.0.1',
           '{\"user_id\":\"usr_seed\",\"policy_version\":\"1\"}', randomblob(32), randomblob(32)
    FROM number, head;
    INSERT INTO audit_chains (tenant_id, length, hash)
    SELECT tenant_id, chain_position, hash FROM audit_rows
    WHERE tenant_id = 'acme' ORDER BY chain_position DESC LIMIT 1
    ON CONFLICT (tenant_id) DO UPDATE SET length = excluded.length, hash = excluded.hash;
    COMMIT";

/// The most that a process ever had in memory, in bytes.
fn peak(id: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.unwrap().split_whitespace().next().unwrap();
    kilobytes.parse::<usize>().unwrap() * 1024
}

#[tokio::test]
async fn an_export_of_many_rows_is_not_in_memory() {
    let platform = Platform::first_run().await;
    let acme = platform.tenant("acme").await;
    let database = platform.directory.path().join("identity.db");
    let options = SqliteConnectOptions::new().filename(database);
    let mut raw = options.connect().await.unwrap();
    sqlx::raw_sql(MANY_ROWS).execute(&mut raw).await.unwrap();
    raw.close().await.unwrap();
    let before = peak(platform.process.id());
    let request = acme.request(Method::GET, "/v1/audit/export");
    let mut response = request.send().await.unwrap();
    let (mut rows, mut bytes) = (0, 0);
    while let Some(chunk) = response.chunk().await.unwrap() {
        rows += chunk.iter().filter(|byte| **byte == b'\n').count();
        bytes += chunk.len();
    }
    assert!(rows >= 200_000, "{rows}");
    let grown = peak(platform.process.id()) - before;
    assert!(grown < bytes / 2, "{grown} bytes for an export of {bytes}");
}
