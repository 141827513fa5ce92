//! The hash chain over audit rows (contract §12).

use sha2::{Digest, Sha256};

use crate::{AuditRow, Error, Result};

/// The `prev_hash` of a chain's first row.
pub(crate) const GENESIS: [u8; 32] = [0; 32];

/// The hash that seals `row` behind the row whose hash is `previous`:
/// `SHA-256(previous ‖ RFC 8785 form of the row without prev_hash and hash)`.
///
/// Anyone can compute it from an exported row; the members `prev_hash` and `hash` are left out
/// whether or not the row has them.
///
/// # Errors
///
/// [`Error::Corrupt`] when the row's metadata has no canonical form, which is so for numbers that
/// are not finite alone.
pub fn audit_hash(previous: &[u8; 32], row: &AuditRow) -> Result<[u8; 32]> {
    let corrupt = || Error::Corrupt {
        table: "audit_rows",
        column: "metadata",
    };
    let mut value = serde_json::to_value(row).map_err(|_| corrupt())?;
    if let Some(members) = value.as_object_mut() {
        members.remove("prev_hash");
        members.remove("hash");
    }
    let canonical = serde_json_canonicalizer::to_vec(&value).map_err(|_| corrupt())?;
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update(&canonical);
    Ok(hasher.finalize().into())
}
