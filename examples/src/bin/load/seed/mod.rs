//! Rows that would take hours to make over the interface, written into the database while no server
//! runs on it. Every statement is a file; how many rows it writes is a parameter.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Failure;

/// Rows to write.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Seed {
    /// Paired devices with their certificates.
    Devices,
    /// Sealed audit rows.
    AuditRows,
    /// Revoked certificates.
    Revocations,
}

impl Seed {
    fn sqlite(self) -> &'static str {
        match self {
            Self::Devices => include_str!("sqlite/devices.sql"),
            Self::AuditRows => include_str!("sqlite/audit.sql"),
            Self::Revocations => include_str!("sqlite/revocations.sql"),
        }
    }

    /// What one row with its indexes takes on the disk at most, in bytes.
    fn bytes(self) -> u64 {
        match self {
            Self::Devices => 2500,
            Self::AuditRows => 700,
            Self::Revocations => 500,
        }
    }

    /// Writes `count` rows into the database at `url`.
    pub(crate) fn write(self, url: &str, count: u64) -> Result<(), Failure> {
        let file = url.strip_prefix("sqlite://").map(PathBuf::from);
        let file = file.ok_or("only an embedded database can be seeded")?;
        require_space(&file, count * self.bytes())?;
        // The database is the load's own: what a power cut would leave of it does not matter, and
        // without a write-ahead log a large transaction is not written twice.
        let before = "PRAGMA journal_mode = DELETE;\nPRAGMA synchronous = OFF;\nBEGIN;\n";
        let after = "COMMIT;\nPRAGMA journal_mode = WAL;\n";
        let parameter = format!(".parameter set :count {count}\n");
        let mut shell = Command::new("sqlite3")
            .args(["-batch", "-bail"])
            .arg(&file)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("sqlite3 does not start: {error}"))?;
        let mut input = shell.stdin.take().ok_or("sqlite3 takes no input")?;
        for text in [before, &parameter, self.sqlite(), after] {
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
}

/// Refuses to fill a disk.
fn require_space(file: &Path, bytes: u64) -> Result<(), Failure> {
    let folder = file.parent().ok_or("the database is in no folder")?;
    let said = Command::new("df")
        .args(["--output=avail", "--block-size=1"])
        .arg(folder)
        .output()?;
    let said = String::from_utf8(said.stdout)?;
    let available: u64 = said.lines().nth(1).unwrap_or_default().trim().parse()?;
    if available > bytes + bytes / 4 {
        return Ok(());
    }
    let folder = folder.display();
    Err(format!("{folder} has {available} bytes left, and up to {bytes} are to be written").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_not_filled() {
        let file = std::env::temp_dir().join("identity.db");
        assert!(require_space(&file, 1).is_ok());
        assert!(require_space(&file, 1 << 60).is_err());
    }
}
