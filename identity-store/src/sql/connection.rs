//! A connection of either database, for reads or inside a transaction.

#[cfg(feature = "postgres")]
use super::postgres;
#[cfg(feature = "sqlite")]
use super::sqlite;

/// What statements run on.
pub(super) enum Connection {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlite::Held),
    #[cfg(feature = "postgres")]
    Postgres(postgres::Held),
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
