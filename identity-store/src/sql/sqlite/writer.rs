//! The one connection that writes.
//!
//! A transaction on it is its statements between BEGIN and COMMIT, each one way to the connection's
//! thread and back. On a connection from a pool of sqlx it would also be an acknowledgement of both, a
//! ping and a task.

use std::sync::Arc;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

use super::connect::ACQUIRE_TIMEOUT;
use crate::sql::fault;

/// Waits for the lock of other processes before anything is read.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";
const COMMIT: &str = "COMMIT";
const ROLLBACK: &str = "ROLLBACK";

/// Writers queue here, not at the file's lock.
#[derive(Debug)]
pub(in crate::sql) struct Writer {
    options: Box<SqliteConnectOptions>,
    turn: Arc<Mutex<Slot>>,
}

/// Where the connection is between transactions.
#[derive(Debug)]
enum Slot {
    Open(SqliteConnection),
    /// A transaction did not end as it should, which closed it: the next one has a new one.
    Lost,
    Closed,
}

/// An open transaction. Only its end gives the connection back: dropped before, it is closed, which
/// rolls back.
pub(in crate::sql) struct Write {
    pub(super) connection: SqliteConnection,
    turn: OwnedMutexGuard<Slot>,
}

impl Writer {
    pub(super) async fn connect(options: SqliteConnectOptions) -> sqlx::Result<Self> {
        let connection = options.connect().await?;
        Ok(Self {
            options: Box::new(options),
            turn: Arc::new(Mutex::new(Slot::Open(connection))),
        })
    }

    pub(super) async fn begin(&self) -> sqlx::Result<Write> {
        let turn = timeout(ACQUIRE_TIMEOUT, Arc::clone(&self.turn).lock_owned());
        let mut turn = turn.await.map_err(|_| sqlx::Error::PoolTimedOut)?;
        let connection = match std::mem::replace(&mut *turn, Slot::Lost) {
            Slot::Open(connection) => connection,
            Slot::Lost => self.options.connect().await?,
            Slot::Closed => {
                *turn = Slot::Closed;
                return Err(sqlx::Error::PoolClosed);
            }
        };
        let mut write = Write { connection, turn };
        match sqlx::query(BEGIN).execute(&mut write.connection).await {
            Ok(_) => Ok(write),
            Err(error) => {
                if fault::is_busy(&error) {
                    write.end();
                }
                Err(error)
            }
        }
    }

    pub(super) async fn close(&self) {
        let mut turn = self.turn.lock().await;
        if let Slot::Open(connection) = std::mem::replace(&mut *turn, Slot::Closed)
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, "the connection that writes did not close as it should");
        }
    }
}

impl Write {
    pub(super) async fn commit(mut self) -> sqlx::Result<()> {
        match sqlx::query(COMMIT).execute(&mut self.connection).await {
            Ok(_) => {
                self.end();
                Ok(())
            }
            Err(error) => {
                // It failed whole. What of it may still be open is to be so no longer.
                if let Err(error) = self.rollback().await {
                    tracing::debug!(%error, "SQLite rolled back by itself");
                }
                Err(error)
            }
        }
    }

    pub(super) async fn rollback(mut self) -> sqlx::Result<()> {
        sqlx::query(ROLLBACK).execute(&mut self.connection).await?;
        self.end();
        Ok(())
    }

    fn end(mut self) {
        *self.turn = Slot::Open(self.connection);
    }
}
