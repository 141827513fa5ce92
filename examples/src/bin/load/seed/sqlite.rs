//! Seeds of an embedded database, written by SQLite's shell.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::require_space;
use crate::Failure;

/// The database is the load's own: what a power cut would leave of it does not matter, and without a
/// write-ahead log a large transaction is not written twice.
const BEFORE: &str = "PRAGMA journal_mode = DELETE;\nPRAGMA synchronous = OFF;\nBEGIN;\n";
const AFTER: &str = "COMMIT;\nPRAGMA journal_mode = WAL;\n";

pub(super) fn write(file: &Path, statements: &str, bytes: u64) -> Result<(), Failure> {
    require_space(file.parent().ok_or("the database is in no folder")?, bytes)?;
    let mut shell = Command::new("sqlite3")
        .args(["-batch", "-bail"])
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("sqlite3 does not start: {error}"))?;
    let mut input = shell.stdin.take().ok_or("sqlite3 takes no input")?;
    for text in [BEFORE, statements, AFTER] {
        input.write_all(text.as_bytes())?;
    }
    drop(input);
    let ended = shell.wait_with_output()?;
    if ended.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&ended.stderr);
    Err(format!("sqlite3 failed: {complaint}").into())
}
