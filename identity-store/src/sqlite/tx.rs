//! Transactions: named, bounded, retried, and never dropped half-way.
//!
//! `BEGIN IMMEDIATE` takes the write lock before anything is read, so that only the beginning can
//! find the database busy, and a transaction's work runs once however often its beginning is tried.

use std::pin::Pin;
use std::sync::Arc;

use sqlx::{Sqlite, SqliteConnection, Transaction};
use time::OffsetDateTime;
use tracing::Instrument as _;

use super::fault::{Fault, Step, is_busy};
use super::{Shared, SqliteStore};
use crate::posting::to_millisecond;
use crate::{Change, Error, Result};

/// What a transaction does.
pub(super) type Work<'t, T> = Pin<Box<dyn Future<Output = Step<T>> + Send + 't>>;

/// An open transaction.
pub(super) struct Tx {
    transaction: Transaction<'static, Sqlite>,
    pub(super) shared: Arc<Shared>,
}

impl Tx {
    pub(super) fn conn(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }
}

/// An open transaction that makes a change: what happens in it is told through
/// [`post`](Self::post), and the change's answer is kept at its end.
pub(super) struct ChangeTx<'t> {
    pub(super) tx: &'t mut Tx,
    pub(super) change: Change,
}

impl ChangeTx<'_> {
    pub(super) fn conn(&mut self) -> &mut SqliteConnection {
        self.tx.conn()
    }

    /// When the change is made, to the millisecond.
    pub(super) fn at(&self) -> OffsetDateTime {
        self.change.at
    }
}

impl SqliteStore {
    /// Runs `work` in a transaction that commits if it succeeds and leaves nothing if it does not.
    /// The task goes on when the caller goes away.
    pub(super) async fn run_tx<T, W>(&self, name: &'static str, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Tx) -> Work<'t, T> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let transactions = shared.transactions.clone();
        let task = async move {
            let mut tx = begin(shared, name).await?;
            let outcome = match work(&mut tx).await {
                Ok(done) => {
                    let committed = tx.transaction.commit().await;
                    committed.map(|()| done).map_err(Fault::from)
                }
                Err(fault) => {
                    // A rollback that fails closes the connection, which rolls back as well.
                    if let Err(error) = tx.transaction.rollback().await {
                        tracing::warn!(transaction = name, %error, "rollback failed");
                    }
                    Err(fault)
                }
            };
            outcome.map_err(|fault| fault.named(name))
        };
        let span = tracing::debug_span!("transaction", name);
        transactions
            .spawn(task.instrument(span))
            .await
            .map_err(|ended| Error::Backend {
                operation: name,
                source: Box::new(ended),
            })?
    }

    /// Runs `work` in a transaction that makes `change`, and keeps the change's answer with it.
    pub(super) async fn run_change<T, W>(
        &self,
        name: &'static str,
        mut change: Change,
        work: W,
    ) -> Result<T>
    where
        T: Send + 'static,
        W: for<'w, 't> FnOnce(&'w mut ChangeTx<'t>) -> Work<'w, T> + Send + 'static,
    {
        change.at = to_millisecond(change.at);
        self.run_tx(name, move |tx| {
            Box::pin(async move {
                let mut tx = ChangeTx { tx, change };
                let done = work(&mut tx).await?;
                tx.keep_answer().await?;
                Ok(done)
            })
        })
        .await
    }

    /// Runs `work` on a reader, which sees what was committed last.
    pub(super) async fn read<T, W>(&self, name: &'static str, work: W) -> Result<T>
    where
        W: AsyncFnOnce(&mut SqliteConnection) -> Step<T>,
    {
        let read = async {
            let mut connection = self.shared.readers.acquire().await?;
            work(&mut connection).await
        };
        read.await.map_err(|fault: Fault| fault.named(name))
    }
}

/// Waits for the write lock, a bounded number of times.
async fn begin(shared: Arc<Shared>, name: &'static str) -> Result<Tx> {
    let mut tries = 0;
    loop {
        tries += 1;
        match shared.writer.begin_with("BEGIN IMMEDIATE").await {
            Ok(transaction) => {
                return Ok(Tx {
                    transaction,
                    shared,
                });
            }
            Err(error) if !is_busy(&error) => return Err(Fault::from(error).named(name)),
            Err(_) if tries >= shared.tries => {
                return Err(Error::Busy {
                    transaction: name,
                    tries,
                });
            }
            Err(_) => tracing::debug!(transaction = name, tries, "database is busy"),
        }
    }
}
