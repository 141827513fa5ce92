//! Seeds of a PostgreSQL database, written by a superuser.

use std::path::PathBuf;

use super::require_space;
use crate::Failure;

const BEFORE: &str = include_str!("postgres.sql");
const AFTER: &str = "DROP FUNCTION unixepoch(), hex(BYTEA), randomblob(INT);";

/// What the database does by itself in time, so that it does not do it while something is measured.
const SETTLE: [&str; 2] = ["VACUUM (ANALYZE)", "CHECKPOINT"];

pub(super) fn write(url: &str, statements: &str, bytes: u64) -> Result<(), Failure> {
    let data = postgres_cluster::ask(url, "SHOW data_directory").map(PathBuf::from);
    // It may be another machine's.
    if let Some(data) = data.filter(|data| data.exists()) {
        // Twice, since what is written is in the log too, until the next checkpoint.
        require_space(&data, 2 * bytes)?;
    }
    postgres_cluster::execute(url, &format!("{BEFORE}{statements}{AFTER}"));
    for statement in SETTLE {
        postgres_cluster::execute(url, statement);
    }
    Ok(())
}
