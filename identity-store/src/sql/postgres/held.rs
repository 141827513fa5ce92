//! A connection to PostgreSQL that answers in time, or is given up.
//!
//! A server whose machine is gone, or behind a network that drops what it should carry, refuses
//! nothing: it is silent, and TCP waits for it for a quarter of an hour. Whoever waits on such a
//! connection is told that the database failed, and the pool gets its place back.

use std::io::ErrorKind;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPool;
use sqlx::{Executor as _, PgConnection, Postgres};
use tokio::time::timeout;

/// How long an answer is waited for: longer than PostgreSQL lets a statement run.
pub(super) const ANSWER: Duration = Duration::from_secs(12);

/// A connection that its pool gets back if it has answered whatever was asked, and is not inside a
/// transaction; another is closed, which rolls back.
pub(in crate::sql) struct Held {
    connection: PoolConnection<Postgres>,
    in_transaction: bool,
    has_answered: bool,
}

impl Held {
    /// One to read with.
    pub(super) async fn reader(pool: &PgPool) -> sqlx::Result<Self> {
        Ok(Self {
            connection: pool.acquire().await?,
            in_transaction: false,
            has_answered: true,
        })
    }

    /// One in a transaction that `begin` begins.
    pub(super) async fn transaction(pool: &PgPool, begin: &'static str) -> sqlx::Result<Self> {
        let mut held = Self::reader(pool).await?;
        held.in_transaction = true;
        held.ask(|connection| connection.execute(begin)).await?;
        Ok(held)
    }

    pub(in crate::sql) async fn commit(self) -> sqlx::Result<()> {
        self.end("COMMIT").await
    }

    pub(in crate::sql) async fn rollback(self) -> sqlx::Result<()> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, end: &'static str) -> sqlx::Result<()> {
        if self.in_transaction {
            self.ask(|connection| connection.execute(end)).await?;
            self.in_transaction = false;
        }
        Ok(())
    }

    /// What the database answers.
    pub(in crate::sql) async fn ask<'c, T, A>(
        &'c mut self,
        ask: impl FnOnce(&'c mut PgConnection) -> A,
    ) -> sqlx::Result<T>
    where
        A: Future<Output = sqlx::Result<T>>,
    {
        self.has_answered = false;
        let answer = timeout(ANSWER, ask(&mut self.connection)).await;
        let answer = answer.map_err(|_| sqlx::Error::Io(ErrorKind::TimedOut.into()))?;
        self.has_answered = matches!(answer, Ok(_) | Err(sqlx::Error::Database(_)));
        answer
    }

    /// The connection, for what may take its time. It does not go back to the pool afterwards, unless
    /// it ends a transaction.
    pub(in crate::sql) fn unwatched(&mut self) -> &mut PgConnection {
        self.has_answered = false;
        &mut self.connection
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.in_transaction || !self.has_answered {
            self.connection.close_on_drop();
            return;
        }
        // The pool asks whether the connection is alive, and would wait for that for ever.
        let back = self.connection.return_to_pool();
        tokio::spawn(timeout(ANSWER, back));
    }
}
