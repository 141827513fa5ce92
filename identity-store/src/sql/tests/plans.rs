//! How SQLite finds the rows of each statement that there is.
//!
//! It counts nothing: without an index that holds all of a condition it takes a tenant's rows for few.

use sqlx::{AssertSqlSafe, Row as _};

use super::{File, readers, statements};
use crate::SqlStore;
use crate::sql::rate_limits;

/// Tables and subqueries of few rows, or whose rows are all wanted.
const FEW: &[&str] = &[
    // A row for each tenant, operator, month, replica or key.
    "archive",
    "audit_archives",
    "audit_chains",
    "audit_sealer",
    "chain",
    "console_users",
    "data_keys",
    "denial_purge",
    "device_policy",
    "known",
    "leases",
    "platform_secrets",
    "sqlite_schema",
    "t",
    "tenants",
    "webhook_endpoints",
    "webhook_fan_out",
    // What waits for the sealer or a job, and what a job clears away.
    "audit_intake",
    "idempotent_answers",
    "outbox_intake",
    "palm_erasures",
    // What the statement itself has found by then.
    "(subquery-4)",
    "(subquery-5)",
    "(subquery-6)",
    "(subquery-7)",
    "due",
    "page",
    "waiting",
    "CONSTANT",
];

/// Statements that are meant to see many rows.
const WHOLE: &[&str] = &[
    // A tenant's clients, sorted.
    "FROM oauth_clients c WHERE c.tenant_id = $1 AND (",
    // A tenant's devices, counted.
    "SELECT count(*) AS devices FROM devices WHERE tenant_id = $1",
    // The jobs that wait, by an index of them alone.
    "FROM jobs WHERE status IN ('queued', 'running')",
    // A month of the audit trail.
    "DELETE FROM audit_rows WHERE at < $1",
    // A tenant's attempts under way.
    "INDEXED BY challenge_attempts_under_way",
    // The first one only.
    "FROM revoked_cert_fingerprints ORDER BY sequence LIMIT 1",
    "FROM outbox ORDER BY position LIMIT 1",
];

fn is_found(step: &str) -> bool {
    let Some(table) = step.split(' ').nth(1) else {
        return true;
    };
    let every_row = step.starts_with("SCAN ") && !step.contains("VIRTUAL TABLE");
    !(every_row || step.ends_with("(tenant_id=?)")) || FEW.contains(&table)
}

async fn plan(store: &SqlStore, statement: &str) -> sqlx::Result<Vec<String>> {
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
    let steps = sqlx::query(explain).fetch_all(readers(store)).await?;
    steps.iter().map(|step| step.try_get("detail")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_finds_its_rows_by_an_index() {
    let statements = statements::all().await;
    let file = File::new();
    let store = file.open().await;
    let singles = statements.iter().flat_map(|both| both.sqlite.split(';'));
    let mut searched = Vec::new();
    for statement in singles.filter(|single| !single.trim().is_empty()) {
        let words = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        if WHOLE.iter().any(|whole| words.contains(whole)) {
            continue;
        }
        let plan = match plan(&store, &words).await {
            Ok(plan) => plan,
            // Another test began it, on a schema of its own.
            Err(error) if error.to_string().contains("no such ") => continue,
            Err(error) => panic!("{error}: {words}"),
        };
        for step in plan {
            if !is_found(&step) {
                searched.push(format!("{step}: {words}"));
            }
        }
    }
    assert!(searched.is_empty(), "{searched:#?}");
}

#[tokio::test]
async fn a_page_of_buckets_is_purged_without_a_look_behind_its_end() {
    let file = File::new();
    let store = file.open().await;
    let steps = plan(&store, rate_limits::PURGE).await.unwrap();
    let [step] = &steps[..] else {
        panic!("{steps:?}");
    };
    assert!(step.ends_with("(bucket>? AND bucket<?)"), "{step}");
}
