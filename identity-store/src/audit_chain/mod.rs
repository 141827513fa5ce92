//! The hash chain over audit rows (contract §12).

mod export;
#[cfg(test)]
mod tests;
mod walk;

use sha2::{Digest, Sha256};

pub use walk::{BrokenChain, ChainFault, ChainWalk};

use crate::{AuditRow, ChainHead, Error, Result, SealedRow};

/// The hash that seals `row` behind the row whose hash is `previous`:
/// `SHA-256(previous ‖ RFC 8785 form of the row)`.
///
/// # Errors
///
/// [`Error::Corrupt`] when the row's metadata has no canonical form, which is so for numbers that
/// are not finite alone.
pub fn audit_hash(previous: &[u8; 32], row: &AuditRow) -> Result<[u8; 32]> {
    let corrupt = |_| Error::Corrupt {
        table: "audit_rows",
        column: "metadata",
    };
    let canonical = serde_json_canonicalizer::to_vec(row).map_err(corrupt)?;
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update(&canonical);
    Ok(hasher.finalize().into())
}

/// `row` in its place behind `head`.
pub(crate) fn seal(head: &ChainHead, row: AuditRow) -> Result<SealedRow> {
    Ok(SealedRow {
        position: head.length.saturating_add(1),
        prev_hash: head.hash,
        hash: audit_hash(&head.hash, &row)?,
        row,
    })
}

impl SealedRow {
    /// The chain's head when this row was its last.
    #[must_use]
    pub fn head(&self) -> ChainHead {
        ChainHead {
            length: self.position,
            hash: self.hash,
        }
    }
}
