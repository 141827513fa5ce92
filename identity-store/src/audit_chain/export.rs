//! An audit row as a line of an export.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{AuditRow, Error, Result, SealedRow};

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    row: &'a AuditRow,
    prev_hash: String,
    hash: String,
}

impl SealedRow {
    /// The row as the contract's §12 exports it: one JSON object without a line break.
    ///
    /// # Errors
    ///
    /// [`Error::ExportedRow`] when the metadata cannot be written, which is so for no JSON value.
    pub fn to_json(&self) -> Result<String> {
        let line = Line {
            row: &self.row,
            prev_hash: hex::encode(self.prev_hash),
            hash: hex::encode(self.hash),
        };
        serde_json::to_string(&line).map_err(|_| Error::ExportedRow)
    }

    /// Reads a line of an export. `position` is what its place among the lines says: one more than
    /// that of the line before it.
    ///
    /// # Errors
    ///
    /// [`Error::ExportedRow`] for anything but an audit row with its two hashes, whole and with nothing else.
    pub fn from_json(position: u64, line: &str) -> Result<Self> {
        let no_row = |_| Error::ExportedRow;
        let mut members: Map<String, Value> = serde_json::from_str(line).map_err(no_row)?;
        let prev_hash = digest(members.remove("prev_hash"))?;
        let hash = digest(members.remove("hash"))?;
        Ok(Self {
            position,
            row: serde_json::from_value(Value::Object(members)).map_err(no_row)?,
            prev_hash,
            hash,
        })
    }
}

/// 64 hexadecimal digits as the digest that they are.
fn digest(member: Option<Value>) -> Result<[u8; 32]> {
    let text = member.as_ref().and_then(Value::as_str).unwrap_or_default();
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).map_err(|_| Error::ExportedRow)?;
    Ok(digest)
}
