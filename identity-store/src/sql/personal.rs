//! Personal data: shown if it can be read, and left out if it cannot, so that a lost key takes nothing
//! with it but what it encrypted.

use super::Shared;
use super::encrypted::{EncryptedColumn, RowKey};
use crate::{Error, Result, UnreadableValue};

impl Shared {
    /// The text of a column; `None` for NULL, and for a value that no key opens, which observers and
    /// the log are told of.
    pub(super) fn text(
        &self,
        column: &EncryptedColumn,
        row: &RowKey,
        stored: Option<&[u8]>,
    ) -> Option<String> {
        let opened = column.decrypt(&self.crypter, row, stored?);
        let text = opened.and_then(|bytes| {
            String::from_utf8(bytes.to_vec()).map_err(|_| Error::Corrupt {
                table: column.table,
                column: column.column,
            })
        });
        if let Err(error) = &text {
            let value = UnreadableValue {
                table: column.table,
                column: column.column,
            };
            tracing::error!(
                table = value.table,
                column = value.column,
                row = row.name(),
                %error,
                "a value cannot be decrypted and is left out"
            );
            self.observers.unreadable(&value);
        }
        text.ok()
    }

    /// `text` for storage in a column.
    pub(super) fn sealed(
        &self,
        column: &EncryptedColumn,
        row: &RowKey,
        text: Option<&str>,
    ) -> Result<Option<Vec<u8>>> {
        text.map(|text| column.encrypt(self.sealer(), row, text))
            .transpose()
    }
}
