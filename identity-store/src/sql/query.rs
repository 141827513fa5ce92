//! One statement with its values, for either database.
//!
//! Both read parameters as `$1`, `$2`, …, so that most statements are one text. [`Sql`] holds two
//! where the databases say a thing differently.

use super::connection::Connection;
use super::row::Row;

/// A statement in the words of each database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sql {
    pub(super) sqlite: &'static str,
    pub(super) postgres: &'static str,
}

impl From<&'static str> for Sql {
    fn from(both: &'static str) -> Self {
        Self {
            sqlite: both,
            postgres: both,
        }
    }
}

/// A value to bind.
#[derive(Debug)]
pub(super) enum Value<'q> {
    Integer(Option<i64>),
    Boolean(Option<bool>),
    Text(Option<&'q str>),
    OwnedText(Option<String>),
    Bytes(Option<&'q [u8]>),
    OwnedBytes(Vec<u8>),
}

macro_rules! value_from {
    ($($from:ty => |$value:ident| $to:expr;)+) => {
        $(impl<'q> From<$from> for Value<'q> {
            fn from($value: $from) -> Self {
                $to
            }
        })+
    };
}

value_from! {
    i64 => |value| Self::Integer(Some(value));
    Option<i64> => |value| Self::Integer(value);
    bool => |value| Self::Boolean(Some(value));
    Option<bool> => |value| Self::Boolean(value);
    &'q str => |value| Self::Text(Some(value));
    Option<&'q str> => |value| Self::Text(value);
    &'q String => |value| Self::Text(Some(value));
    &'q Option<String> => |value| Self::Text(value.as_deref());
    String => |value| Self::OwnedText(Some(value));
    Option<String> => |value| Self::OwnedText(value);
    &'q [u8] => |value| Self::Bytes(Some(value));
    Option<&'q [u8]> => |value| Self::Bytes(value);
    Vec<u8> => |value| Self::OwnedBytes(value);
}

/// A statement on its way to the database.
#[derive(Debug)]
pub(super) struct Query<'q> {
    sql: Sql,
    values: Vec<Value<'q>>,
}

/// Begins a statement; its values follow in the order of their numbers.
pub(super) fn query<'q>(sql: impl Into<Sql>) -> Query<'q> {
    let sql = sql.into();
    #[cfg(all(test, feature = "sqlite"))]
    super::tests::statements::note(sql);
    Query {
        sql,
        values: Vec::new(),
    }
}

/// The statement of one database with its values. Each database has types of its own for all of it.
macro_rules! prepared {
    ($query:expr, $words:ident) => {{
        let mut prepared = sqlx::query($query.sql.$words);
        for value in $query.values {
            prepared = match value {
                Value::Integer(value) => prepared.bind(value),
                Value::Boolean(value) => prepared.bind(value),
                Value::Text(value) => prepared.bind(value),
                Value::OwnedText(value) => prepared.bind(value),
                Value::Bytes(value) => prepared.bind(value),
                Value::OwnedBytes(value) => prepared.bind(value),
            };
        }
        prepared
    }};
}

impl<'q> Query<'q> {
    pub(super) fn bind(mut self, value: impl Into<Value<'q>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Runs it; returns how many rows it changed.
    pub(super) async fn execute(self, conn: &mut Connection) -> sqlx::Result<u64> {
        Ok(match conn {
            #[cfg(feature = "sqlite")]
            Connection::Sqlite(held) => {
                let done = prepared!(self, sqlite).execute(&mut **held).await?;
                done.rows_affected()
            }
            #[cfg(feature = "postgres")]
            Connection::Postgres(held) => {
                let statement = prepared!(self, postgres);
                let done = held.ask(|connection| statement.execute(connection)).await?;
                done.rows_affected()
            }
        })
    }

    pub(super) async fn fetch_optional(self, conn: &mut Connection) -> sqlx::Result<Option<Row>> {
        Ok(match conn {
            #[cfg(feature = "sqlite")]
            Connection::Sqlite(held) => {
                let row = prepared!(self, sqlite).fetch_optional(&mut **held).await?;
                row.map(Row::Sqlite)
            }
            #[cfg(feature = "postgres")]
            Connection::Postgres(held) => {
                let statement = prepared!(self, postgres);
                let row = held.ask(|connection| statement.fetch_optional(connection));
                let row = row.await?;
                row.map(Row::Postgres)
            }
        })
    }

    pub(super) async fn fetch_one(self, conn: &mut Connection) -> sqlx::Result<Row> {
        let row = self.fetch_optional(conn).await?;
        row.ok_or(sqlx::Error::RowNotFound)
    }

    pub(super) async fn fetch_all(self, conn: &mut Connection) -> sqlx::Result<Vec<Row>> {
        Ok(match conn {
            #[cfg(feature = "sqlite")]
            Connection::Sqlite(held) => {
                let rows = prepared!(self, sqlite).fetch_all(&mut **held).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            #[cfg(feature = "postgres")]
            Connection::Postgres(held) => {
                let statement = prepared!(self, postgres);
                let rows = held.ask(|connection| statement.fetch_all(connection));
                let rows = rows.await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }
}
