//! Re-encrypts what is under an earlier data key, while other processes read and write.
//!
//! Nothing is kept between two runs: the stored value says which key it is under. A value is replaced
//! only if it is still the one that was read, so that no change of another process is undone.

use super::SqlStore;
use super::encrypted::{ALL, EncryptedColumn, RowKey};
use super::fault::Step;
use super::query::query;
use super::row::Row;
use super::tx::{Isolation, Tx};
use crate::{Error, Result, Unreadable};

/// How many values are read at once, and replaced by one transaction: few enough that writers hardly wait
/// for it on SQLite.
const PAGE: i64 = 200;
/// How often it is gone through everything while others still write under an earlier key.
const PASSES: u32 = 3;
/// How many unreadable values are named.
const NAMED: usize = 20;

/// How far a rotation has come.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RotationProgress {
    /// So many values of a column were re-encrypted since it was begun.
    ReEncrypted {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// How many.
        values: u64,
    },
    /// So many values of a column were opened.
    Verified {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// How many.
        values: u64,
    },
}

/// What a rotation did, and what it found when it had done it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rotation {
    /// How many values were re-encrypted.
    pub re_encrypted: u64,
    /// How many values there are that open under the current key.
    pub verified: u64,
    /// How many were under another key, though they open: a process still encrypts under it.
    pub stale: u64,
    /// How many no key opens.
    pub unreadable: u64,
    /// The first of those, as `table.column of row`, and which of them were altered.
    pub unreadable_values: Vec<String>,
}

impl Rotation {
    /// Whether every value is under the current key, so that the other keys may be dropped.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.stale == 0 && self.unreadable == 0
    }

    fn count_unreadable(&mut self, column: &EncryptedColumn, row: &RowKey, error: &Error) {
        self.unreadable += 1;
        if self.unreadable_values.len() < NAMED {
            let (table, name, row) = (column.table, column.column, row.name());
            let why = match error {
                Error::Decrypt {
                    why: Unreadable::Altered,
                    ..
                } => ", which was altered",
                _ => "",
            };
            self.unreadable_values
                .push(format!("{table}.{name} of {row}{why}"));
        }
    }
}

/// The rows of a column behind one, as far as they have a value.
struct Page {
    values: Vec<(RowKey, Vec<u8>)>,
    /// The last row; `None` when there was none.
    last: Option<RowKey>,
}

/// A value that is under an earlier key, and what takes its place.
#[derive(Debug, Clone)]
struct Replacement {
    row: RowKey,
    read: Vec<u8>,
    new: Vec<u8>,
}

impl SqlStore {
    /// Encrypts under the current key whatever is encrypted under another, in small transactions, and
    /// opens every value afterwards. Other processes go on reading and writing.
    ///
    /// It may be ended at any moment and run again. A value that no key opens is left as it is and
    /// counted; it stops nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] and [`Error::Backend`]; what was re-encrypted until then stays so.
    pub async fn rotate_keys(
        &self,
        mut progress: impl FnMut(RotationProgress),
    ) -> Result<Rotation> {
        let mut re_encrypted = 0;
        for pass in 1.. {
            for column in ALL {
                re_encrypted += self.re_encrypt(column, &mut progress).await?;
            }
            let mut found = Rotation {
                re_encrypted,
                ..Rotation::default()
            };
            for column in ALL {
                self.verify(column, &mut found, &mut progress).await?;
            }
            if found.stale == 0 || pass == PASSES {
                return Ok(found);
            }
        }
        Ok(Rotation::default())
    }

    async fn re_encrypt(
        &self,
        column: &'static EncryptedColumn,
        progress: &mut impl FnMut(RotationProgress),
    ) -> Result<u64> {
        let (mut behind, mut values) = (column.start(), 0);
        loop {
            let page = self.values(column, &behind).await?;
            let Some(last) = page.last else {
                return Ok(values);
            };
            behind = last;
            let batch = self.replacements(column, page.values)?;
            if batch.is_empty() {
                continue;
            }
            values += self
                .run_tx("rotate_keys", Isolation::ReadCommitted, move |tx| {
                    Box::pin(replace(tx, column, batch))
                })
                .await?;
            progress(RotationProgress::ReEncrypted {
                table: column.table,
                column: column.column,
                values,
            });
        }
    }

    async fn values(&self, column: &'static EncryptedColumn, behind: &RowKey) -> Result<Page> {
        self.read("rotate_keys", async move |conn| {
            let query = behind.bind(query(column.page)).bind(PAGE);
            read(column, &query.fetch_all(conn).await?)
        })
        .await
    }

    /// Those of the values that are not under the current key and open, under the current key.
    fn replacements(
        &self,
        column: &EncryptedColumn,
        values: Vec<(RowKey, Vec<u8>)>,
    ) -> Result<Vec<Replacement>> {
        let prefix = self.shared.crypter.current_prefix()?;
        let mut replacements = Vec::new();
        for (row, read) in values {
            if read.starts_with(&prefix) {
                continue;
            }
            let Ok(plaintext) = column.decrypt(&self.shared.crypter, &row, &read) else {
                continue;
            };
            let new = column.encrypt(self.shared.sealer(), &row, &*plaintext)?;
            replacements.push(Replacement { row, read, new });
        }
        Ok(replacements)
    }

    /// Opens every value of a column.
    async fn verify(
        &self,
        column: &'static EncryptedColumn,
        found: &mut Rotation,
        progress: &mut impl FnMut(RotationProgress),
    ) -> Result<()> {
        let prefix = self.shared.crypter.current_prefix()?;
        let (mut behind, mut values) = (column.start(), 0);
        loop {
            let page = self.values(column, &behind).await?;
            for (row, value) in &page.values {
                match column.decrypt(&self.shared.crypter, row, value) {
                    Ok(_) if value.starts_with(&prefix) => values += 1,
                    Ok(_) => found.stale += 1,
                    Err(error) => found.count_unreadable(column, row, &error),
                }
            }
            let Some(last) = page.last else { break };
            behind = last;
        }
        found.verified += values;
        progress(RotationProgress::Verified {
            table: column.table,
            column: column.column,
            values,
        });
        Ok(())
    }
}

fn read(column: &EncryptedColumn, rows: &[Row]) -> Step<Page> {
    let (mut values, mut last) = (Vec::new(), None);
    for row in rows {
        let (row, value) = column.read(row).map_err(|_| Error::Corrupt {
            table: column.table,
            column: column.column,
        })?;
        values.extend(value.map(|value| (row.clone(), value)));
        last = Some(row);
    }
    Ok(Page { values, last })
}

/// Writes the replacements of values that are still the ones that were read; returns how many were.
async fn replace(
    tx: &mut Tx,
    column: &'static EncryptedColumn,
    batch: Vec<Replacement>,
) -> Step<u64> {
    let mut replaced = 0;
    for Replacement { row, read, new } in &batch {
        let query = query(column.replace)
            .bind(new.as_slice())
            .bind(read.as_slice());
        replaced += row.bind(query).execute(tx.conn()).await?;
    }
    Ok(replaced)
}
