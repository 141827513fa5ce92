use super::{Chain, ChainHead, Month};
use crate::AuditId;

/// What an archived piece of a chain has to be: written with the file, checked before the live rows
/// go, and where the chain goes on from afterwards.
///
/// A piece is all rows of its chain behind the piece before it, up to the last one that happened
/// before the month's end. The chain is in the order of sealing, so that around the end of a month a
/// piece may hold a few rows that happened after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveManifest {
    /// Which chain.
    pub chain: Chain,
    /// The month that was closed.
    pub month: Month,
    /// How many rows it has, 1 or more.
    pub rows: u64,
    /// The first of them.
    pub first_id: AuditId,
    /// The last.
    pub last_id: AuditId,
    /// Where the chain ended before it.
    pub previous: ChainHead,
    /// Where the chain ends with it.
    pub head: ChainHead,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// The file's name, without a folder.
    pub file_name: String,
    /// Whether live rows of it were dropped.
    pub retired: bool,
}

/// What came of dropping archived rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retired {
    /// How many archived pieces went.
    pub pieces: u64,
    /// How many chains have rows of that time that no verified archive holds: nothing goes then.
    pub unarchived: u64,
}
