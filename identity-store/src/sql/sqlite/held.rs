//! A connection to SQLite.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqliteConnection, Transaction};

/// A connection that its pool gets back.
pub(in crate::sql) enum Held {
    Reader(PoolConnection<Sqlite>),
    Transaction(Transaction<'static, Sqlite>),
}

impl Held {
    pub(in crate::sql) async fn commit(self) -> sqlx::Result<()> {
        match self {
            Self::Reader(_) => Ok(()),
            Self::Transaction(transaction) => transaction.commit().await,
        }
    }

    pub(in crate::sql) async fn rollback(self) -> sqlx::Result<()> {
        match self {
            Self::Reader(_) => Ok(()),
            Self::Transaction(transaction) => transaction.rollback().await,
        }
    }
}

impl Deref for Held {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        match self {
            Self::Reader(connection) => connection,
            Self::Transaction(transaction) => transaction,
        }
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        match self {
            Self::Reader(connection) => connection,
            Self::Transaction(transaction) => transaction,
        }
    }
}
