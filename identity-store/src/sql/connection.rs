//! A connection of either database, for reads or inside a transaction.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{Database, Transaction};

/// What statements run on.
pub(super) enum Connection {
    #[cfg(feature = "sqlite")]
    Sqlite(Held<sqlx::Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(Held<sqlx::Postgres>),
}

impl Connection {
    /// Commits the transaction; a connection that only reads has none.
    pub(super) async fn commit(self) -> sqlx::Result<()> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(held) => held.commit().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(held) => held.commit().await,
        }
    }

    /// Rolls the transaction back.
    pub(super) async fn rollback(self) -> sqlx::Result<()> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(held) => held.rollback().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(held) => held.rollback().await,
        }
    }
}

/// A connection that its pool gets back.
pub(super) enum Held<DB: Database> {
    Reader(PoolConnection<DB>),
    Transaction(Transaction<'static, DB>),
}

impl<DB: Database> Held<DB> {
    async fn commit(self) -> sqlx::Result<()> {
        match self {
            Self::Reader(_) => Ok(()),
            Self::Transaction(transaction) => transaction.commit().await,
        }
    }

    async fn rollback(self) -> sqlx::Result<()> {
        match self {
            Self::Reader(_) => Ok(()),
            Self::Transaction(transaction) => transaction.rollback().await,
        }
    }
}

impl<DB: Database> Deref for Held<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        match self {
            Self::Reader(connection) => connection,
            Self::Transaction(transaction) => transaction,
        }
    }
}

impl<DB: Database> DerefMut for Held<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        match self {
            Self::Reader(connection) => connection,
            Self::Transaction(transaction) => transaction,
        }
    }
}
