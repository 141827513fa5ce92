//! Personal data, and secrets of single people: shown if they can be read, and left out if they cannot, so
//! that a lost key takes nothing with it but what it encrypted.

use super::Shared;
use super::encrypted::{EncryptedColumn, RowKey};
use crate::{Error, Result, SecretBytes, UnreadableValue};

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
        self.or_left_out(column, row, text)
    }

    /// The secret of a column; `None` as for [`text`](Self::text).
    pub(super) fn secret(
        &self,
        column: &EncryptedColumn,
        row: &RowKey,
        stored: &[u8],
    ) -> Option<SecretBytes> {
        let opened = column.decrypt(&self.crypter, row, stored);
        let secret = opened.map(|bytes| SecretBytes::new(bytes.to_vec()));
        self.or_left_out(column, row, secret)
    }

    fn or_left_out<T>(
        &self,
        column: &EncryptedColumn,
        row: &RowKey,
        value: Result<T>,
    ) -> Option<T> {
        if let Err(error) = &value {
            let unreadable = UnreadableValue {
                table: column.table,
                column: column.column,
            };
            tracing::error!(
                table = unreadable.table,
                column = unreadable.column,
                row = row.name(),
                %error,
                "a value cannot be decrypted and is left out"
            );
            self.observers.unreadable(&unreadable);
        }
        value.ok()
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
