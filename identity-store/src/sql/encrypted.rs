//! The columns that are encrypted: one list, by which each is written, read, rotated and checked.

use zeroize::Zeroizing;

use super::query::Query;
use super::row::Row;
use crate::crypter::Place;
use crate::posting::Entropy;
use crate::{Crypter, Error, Result, Unreadable};

/// An encrypted column, and the statements that go through its values in the order of their rows.
#[derive(Debug)]
pub(super) struct EncryptedColumn {
    pub(super) table: &'static str,
    pub(super) column: &'static str,
    key: PrimaryKey,
    /// The values behind a row, NULL among them: no statement looks through more rows than it gives.
    /// Binds: the row, how many.
    pub(super) page: &'static str,
    /// Replaces a value that is still the one that was read. Binds: the new, the old, the row.
    pub(super) replace: &'static str,
}

/// Of what the primary key of an encrypted column's table is made.
#[derive(Debug, Clone, Copy)]
enum PrimaryKey {
    Bytes,
    Text,
    Texts,
}

/// A row by its primary key, as statements and ciphertexts name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RowKey {
    Bytes(Vec<u8>),
    Text(String),
    Texts(String, String),
}

impl RowKey {
    /// The row's name in the place of its ciphertext.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Bytes(key) => hex::encode(key),
            Self::Text(key) => key.clone(),
            Self::Texts(first, second) => format!("{first}/{second}"),
        }
    }

    pub(super) fn bind<'q>(&'q self, query: Query<'q>) -> Query<'q> {
        match self {
            Self::Bytes(key) => query.bind(key.as_slice()),
            Self::Text(key) => query.bind(key),
            Self::Texts(first, second) => query.bind(first).bind(second),
        }
    }
}

/// A column of a table by its primary key, which is one column or two.
macro_rules! column {
    ($table:literal, $column:literal, $kind:ident($key:literal)) => {
        column!(
            $table, $column, $kind,
            select concat!($key, " AS first_key"),
            order $key,
            behind concat!($key, " > $1"), "$2",
            same concat!($key, " = $3")
        )
    };
    ($table:literal, $column:literal, $kind:ident($first:literal, $second:literal)) => {
        column!(
            $table, $column, $kind,
            select concat!($first, " AS first_key, ", $second, " AS second_key"),
            order concat!($first, ", ", $second),
            behind concat!("(", $first, ", ", $second, ") > ($1, $2)"), "$3",
            same concat!($first, " = $3 AND ", $second, " = $4")
        )
    };
    ($table:literal, $column:literal, $kind:ident, select $select:expr, order $order:expr,
     behind $behind:expr, $limit:literal, same $same:expr) => {
        EncryptedColumn {
            table: $table,
            column: $column,
            key: PrimaryKey::$kind,
            page: concat!(
                "SELECT ", $select, ", ", $column, " AS value FROM ", $table,
                " WHERE ", $behind, " ORDER BY ", $order, " LIMIT ", $limit
            ),
            replace: concat!(
                "UPDATE ", $table, " SET ", $column, " = $1",
                " WHERE ", $column, " = $2 AND ", $same
            ),
        }
    };
}

macro_rules! columns {
    ($($name:ident: $table:literal . $column:literal by $kind:ident($($key:literal),+);)+) => {
        $(pub(super) const $name: EncryptedColumn =
            column!($table, $column, $kind($($key),+));)+

        /// Every encrypted column. `data_keys.key_check` is none of them: each of its values stays
        /// under the key that it is there for.
        pub(super) const ALL: &[&EncryptedColumn] = &[$(&$name),+];
    };
}

columns! {
    USER_DISPLAY_NAME: "users"."display_name" by Texts("tenant_id", "user_id");
    USER_EMAIL: "users"."email" by Texts("tenant_id", "user_id");
    USER_MOBILE: "users"."mobile" by Texts("tenant_id", "user_id");
    OPERATOR_EMAIL: "console_users"."email" by Text("operator_id");
    TOTP_SECRET: "console_totp"."secret" by Text("operator_id");
    PLATFORM_SECRET: "platform_secrets"."secret" by Texts("kind", "fingerprint");
    AUTH_NOTIFICATION: "backchannel_requests"."notification" by Texts("tenant_id", "challenge_id");
    WEBHOOK_SECRETS: "webhook_endpoints"."secrets" by Texts("tenant_id", "endpoint_id");
    ANSWER_BODY: "idempotent_answers"."body" by Bytes("request_key");
}

impl EncryptedColumn {
    /// Before every row.
    pub(super) fn start(&self) -> RowKey {
        match self.key {
            PrimaryKey::Bytes => RowKey::Bytes(Vec::new()),
            PrimaryKey::Text => RowKey::Text(String::new()),
            PrimaryKey::Texts => RowKey::Texts(String::new(), String::new()),
        }
    }

    /// The row and the value that [`page`](Self::page) selected.
    pub(super) fn read(&self, row: &Row) -> sqlx::Result<(RowKey, Option<Vec<u8>>)> {
        let key = match self.key {
            PrimaryKey::Bytes => RowKey::Bytes(row.get("first_key")?),
            PrimaryKey::Text => RowKey::Text(row.get("first_key")?),
            PrimaryKey::Texts => RowKey::Texts(row.get("first_key")?, row.get("second_key")?),
        };
        Ok((key, row.get("value")?))
    }

    fn place<'a>(&self, row: &'a str) -> Place<'a> {
        Place {
            table: self.table,
            row,
            column: self.column,
        }
    }

    /// That the value of `row` cannot be read.
    pub(super) fn unreadable(&self, row: &RowKey, why: Unreadable) -> Error {
        self.place(&row.name()).unreadable(why)
    }

    /// `plaintext` for storage in this column of `row`.
    pub(super) fn encrypt(
        &self,
        sealer: Sealer<'_>,
        row: &RowKey,
        plaintext: impl AsRef<[u8]>,
    ) -> Result<Vec<u8>> {
        let (row, plaintext) = (row.name(), plaintext.as_ref());
        let encrypt = |rng: &mut dyn rand_core::CryptoRng| {
            sealer.crypter.encrypt(self.place(&row), plaintext, rng)
        };
        sealer.entropy.with(encrypt)
    }

    /// What [`encrypt`](Self::encrypt) made for this column of `row`.
    pub(super) fn decrypt(
        &self,
        crypter: &Crypter,
        row: &RowKey,
        stored: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>> {
        crypter.decrypt(self.place(&row.name()), stored)
    }
}

/// What encrypts: keys, and the source of nonces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sealer<'a> {
    pub(super) crypter: &'a Crypter,
    pub(super) entropy: &'a Entropy,
}
