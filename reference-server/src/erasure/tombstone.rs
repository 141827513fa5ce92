//! Tombstones as lines: in the log, in what `erasures export` prints, and in the file that
//! `erasures replay` reads.

use std::path::Path;

use identity_pki::TenantId;
use identity_store::{ErasureId, InternalUserId, Tombstone};
use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

/// The longest line that is read: a line of the log has more than a tombstone.
const MAX_LINE: u64 = 64 * 1024;

/// A tombstone as a line. What else the log says with it is left out.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    tenant_id: TenantId,
    erasure_id: ErasureId,
    user: InternalUserId,
}

/// Why a file of tombstones is not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TombstonesError {
    /// The file is missing or cannot be read.
    #[error("the file of tombstones cannot be read")]
    Read(#[from] std::io::Error),
    /// A line is no tombstone.
    #[error("line {0} of the file is no tombstone")]
    Line(u64),
}

/// Takes a tombstone out of the database's reach: whoever keeps the log has it when the database is
/// restored to a moment before.
pub(crate) fn log_tombstone(tombstone: &Tombstone) {
    let Tombstone {
        tenant_id,
        erasure_id,
        internal_id,
    } = tombstone;
    tracing::info!(%tenant_id, %erasure_id, user = %internal_id, "tombstone");
}

/// The tombstone as a line without its end.
pub(super) fn line(tombstone: &Tombstone) -> serde_json::Result<String> {
    serde_json::to_string(&Line {
        tenant_id: tombstone.tenant_id.clone(),
        erasure_id: tombstone.erasure_id.clone(),
        user: tombstone.internal_id.clone(),
    })
}

/// Reads tombstones line by line.
pub(super) struct Tombstones {
    file: BufReader<File>,
    line: String,
    number: u64,
}

impl Tombstones {
    pub(super) async fn open(path: &Path) -> Result<Self, TombstonesError> {
        Ok(Self {
            file: BufReader::new(File::open(path).await?),
            line: String::new(),
            number: 0,
        })
    }

    /// The next one; `None` at the end. Empty lines are passed over.
    pub(super) async fn next(&mut self) -> Result<Option<Tombstone>, TombstonesError> {
        loop {
            self.line.clear();
            let mut line = (&mut self.file).take(MAX_LINE);
            if line.read_line(&mut self.line).await? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if !self.line.trim().is_empty() {
                return read(&self.line, self.number).map(Some);
            }
        }
    }
}

fn read(line: &str, number: u64) -> Result<Tombstone, TombstonesError> {
    let read: Line = serde_json::from_str(line).map_err(|_| TombstonesError::Line(number))?;
    Ok(Tombstone {
        tenant_id: read.tenant_id,
        erasure_id: read.erasure_id,
        internal_id: read.user,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_what_the_log_adds_and_nothing_else_is() {
        let tombstone = Tombstone {
            tenant_id: "acme".parse().unwrap(),
            erasure_id: "era_01jd8z6m3w0000000000000000".parse().unwrap(),
            internal_id: "usr_01jd8z6m3w0000000000000000".parse().unwrap(),
        };
        let line = line(&tombstone).unwrap();
        assert_eq!(read(&line, 1).unwrap(), tombstone);
        let logged = line.replace('{', "{\"message\":\"tombstone\",\"level\":\"INFO\",");
        assert_eq!(read(&logged, 1).unwrap(), tombstone);
        for bad in [
            "",
            "[]",
            "{}",
            "null",
            &line[1..],
            &line.replace("usr_", "adm_"),
        ] {
            let refused = read(bad, 7).unwrap_err();
            assert_eq!(refused.to_string(), "line 7 of the file is no tombstone");
        }
    }
}
