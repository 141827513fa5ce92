//! A connection to SQLite.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqliteConnection, Transaction};

use super::writer::Write;

/// A connection to read on, or an open transaction.
pub(in crate::sql) enum Held {
    Reader(PoolConnection<Sqlite>),
    Write(Write),
    /// sqlx's migrations nest theirs in it.
    Migration(Transaction<'static, Sqlite>),
}

impl Held {
    pub(in crate::sql) async fn commit(self) -> sqlx::Result<()> {
        match self {
            Self::Reader(_) => Ok(()),
            Self::Write(write) => write.commit().await,
            Self::Migration(transaction) => transaction.commit().await,
        }
    }

    pub(in crate::sql) async fn rollback(self) -> sqlx::Result<()> {
        match self {
            Self::Reader(_) => Ok(()),
            Self::Write(write) => write.rollback().await,
            Self::Migration(transaction) => transaction.rollback().await,
        }
    }
}

impl Deref for Held {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        match self {
            Self::Reader(connection) => connection,
            Self::Write(write) => &write.connection,
            Self::Migration(transaction) => transaction,
        }
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        match self {
            Self::Reader(connection) => connection,
            Self::Write(write) => &mut write.connection,
            Self::Migration(transaction) => transaction,
        }
    }
}
