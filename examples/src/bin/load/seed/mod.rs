//! Rows that would take hours to make over the interface, written into the database while no server
//! runs on it. Every statement is a file that both databases read; how many rows it writes is put
//! into it.

mod postgres;
mod sqlite;

use std::path::Path;
use std::process::Command;

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
    fn statements(self, count: u64) -> String {
        let statements = match self {
            Self::Devices => include_str!("devices.sql"),
            Self::AuditRows => include_str!("audit.sql"),
            Self::Revocations => include_str!("revocations.sql"),
        };
        statements.replace(":count", &count.to_string())
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
        let (statements, bytes) = (self.statements(count), count * self.bytes());
        match url.strip_prefix("sqlite://") {
            Some(file) => sqlite::write(file.as_ref(), &statements, bytes),
            None => postgres::write(url, &statements, bytes),
        }
    }
}

/// Refuses to fill a disk.
fn require_space(folder: &Path, bytes: u64) -> Result<(), Failure> {
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
        let folder = std::env::temp_dir();
        assert!(require_space(&folder, 1).is_ok());
        assert!(require_space(&folder, 1 << 60).is_err());
    }
}
