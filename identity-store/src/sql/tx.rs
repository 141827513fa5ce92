//! Transactions: named, bounded, retried, and never dropped half-way.
//!
//! Each runs in a task of its own, which goes on when its caller goes away: a future that is dropped
//! while PostgreSQL answers `BEGIN` would leave an open transaction to the next borrower of its
//! connection (sqlx 0.9).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tracing::Instrument as _;

use super::connection::Connection;
use super::encrypted::Sealer;
use super::fault::{Fault, Step};
use super::{Shared, SqlStore, leases};
use crate::posting::to_millisecond;
use crate::{Change, Error, Notice, Result, Transaction, TransactionEnd};

/// What a transaction does.
pub(super) type Work<'t, T> = Pin<Box<dyn Future<Output = Step<T>> + Send + 't>>;

/// The first pause before a transaction is tried again; each one after is twice as long.
const PAUSE: Duration = Duration::from_millis(2);

/// How PostgreSQL keeps transactions apart. SQLite has one writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Isolation {
    /// Reads see what was committed before each of them. For transactions that lock the rows that they
    /// decide on before they read them, or decide by one conditional statement.
    ReadCommitted,
    /// As if alone. For rare ones, whose decision rests on rows that they do not write.
    Serializable,
}

/// An open transaction.
pub(super) struct Tx {
    pub(super) connection: Connection,
    pub(super) shared: Arc<Shared>,
    /// What to tell when it is committed.
    notices: Vec<Notice>,
}

impl Tx {
    pub(super) async fn begin(shared: &Arc<Shared>, isolation: Isolation) -> sqlx::Result<Self> {
        Ok(Self {
            connection: shared.database.begin(isolation).await?,
            shared: Arc::clone(shared),
            notices: Vec::new(),
        })
    }

    pub(super) fn conn(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// The connection, and what encrypts what is written on it.
    pub(super) fn conn_and_sealer(&mut self) -> (&mut Connection, Sealer<'_>) {
        (&mut self.connection, self.shared.sealer())
    }

    /// Tells `notice` to every process once this is committed.
    pub(super) fn notify(&mut self, notice: Notice) {
        if !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }
}

/// An open transaction that makes a change: what happens in it is told through
/// [`post`](Self::post), and the change's answer is kept at its end.
pub(super) struct ChangeTx<'t> {
    pub(super) tx: &'t mut Tx,
    pub(super) change: Change,
}

impl ChangeTx<'_> {
    pub(super) fn conn(&mut self) -> &mut Connection {
        self.tx.conn()
    }

    /// When the change is made, to the millisecond.
    pub(super) fn at(&self) -> OffsetDateTime {
        self.change.at
    }

    pub(super) fn notify(&mut self, notice: Notice) {
        self.tx.notify(notice);
    }
}

impl Shared {
    /// Runs `work` in a transaction that commits if it succeeds and leaves nothing if it does not.
    /// It may run more than once, each time on what the database holds then.
    pub(super) async fn run_tx<T, W>(
        self: &Arc<Self>,
        name: &'static str,
        isolation: Isolation,
        work: W,
    ) -> Result<T>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Tx) -> Work<'t, T> + Clone + Send + 'static,
    {
        let shared = Arc::clone(self);
        let task = async move {
            let started = Instant::now();
            #[cfg(test)]
            super::tests::twice::rehearse(&shared, isolation, work.clone()).await;
            let (mut tries, mut pause) = (1, PAUSE);
            let outcome = loop {
                let fault = match attempt(&shared, name, isolation, work.clone()).await {
                    Ok(done) => break Ok(done),
                    Err(fault) => fault,
                };
                if !fault.is_transient() {
                    break Err(fault.named(name));
                }
                if tries >= shared.tries {
                    break Err(Error::Busy {
                        transaction: name,
                        tries,
                    });
                }
                tracing::debug!(transaction = name, tries, ?fault, "to be tried again");
                // Of two that met, each waits another time.
                tokio::time::sleep(shared.entropy.up_to(pause)).await;
                (tries, pause) = (tries + 1, pause * 2);
            };
            let ended = match &outcome {
                Ok(_) => TransactionEnd::Committed,
                Err(Error::Busy { .. } | Error::Backend { .. }) => TransactionEnd::Failed,
                Err(_) => TransactionEnd::Refused,
            };
            if ended == TransactionEnd::Failed {
                shared.failed.store(true, Ordering::Relaxed);
            }
            shared.observers.transaction_ended(&Transaction {
                name,
                tries,
                ended,
                took: started.elapsed(),
            });
            outcome
        };
        self.run(name, task).await
    }

    /// Runs `work` in a task that goes on when its caller goes away.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let span = tracing::debug_span!("transaction", name);
        self.transactions
            .spawn(work.instrument(span))
            .await
            .map_err(|ended| Error::Backend {
                operation: name,
                source: Box::new(ended),
            })?
    }

    /// Runs `work` on a connection that reads what was committed last.
    pub(super) async fn read<T, W>(&self, name: &'static str, work: W) -> Result<T>
    where
        W: AsyncFnOnce(&mut Connection) -> Step<T>,
    {
        let read = async {
            let mut connection = self.database.reader().await?;
            work(&mut connection).await
        };
        read.await.map_err(|fault: Fault| fault.named(name))
    }
}

impl SqlStore {
    /// As [`Shared::run_tx`].
    pub(super) async fn run_tx<T, W>(
        &self,
        name: &'static str,
        isolation: Isolation,
        work: W,
    ) -> Result<T>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Tx) -> Work<'t, T> + Clone + Send + 'static,
    {
        self.shared.run_tx(name, isolation, work).await
    }

    /// Runs `work` in a transaction that makes `change`, and keeps the change's answer with it.
    pub(super) async fn run_change<T, W>(
        &self,
        name: &'static str,
        isolation: Isolation,
        mut change: Change,
        work: W,
    ) -> Result<T>
    where
        T: Send + 'static,
        W: for<'w, 't> FnOnce(&'w mut ChangeTx<'t>) -> Work<'w, T> + Clone + Send + 'static,
    {
        change.at = to_millisecond(change.at);
        self.run_tx(name, isolation, move |tx| {
            Box::pin(async move {
                let mut tx = ChangeTx { tx, change };
                let done = work(&mut tx).await?;
                if let Some(lease) = tx.change.lease.take() {
                    leases::must_still_be(tx.tx, &lease).await?;
                }
                tx.keep_answer().await?;
                Ok(done)
            })
        })
        .await
    }

    /// As [`Shared::read`].
    pub(super) async fn read<T, W>(&self, name: &'static str, work: W) -> Result<T>
    where
        W: AsyncFnOnce(&mut Connection) -> Step<T>,
    {
        self.shared.read(name, work).await
    }
}

/// One try of a transaction.
async fn attempt<T, W>(
    shared: &Arc<Shared>,
    name: &'static str,
    isolation: Isolation,
    work: W,
) -> Step<T>
where
    W: for<'t> FnOnce(&'t mut Tx) -> Work<'t, T>,
{
    let mut tx = Tx::begin(shared, isolation).await?;
    match work(&mut tx).await {
        Ok(done) => {
            let committed = tx.connection.commit().await;
            committed.map_err(Fault::in_doubt)?;
            shared.tell(tx.notices);
            Ok(done)
        }
        Err(fault) => {
            // A rollback that fails closes the connection, which rolls back as well.
            if let Err(error) = tx.connection.rollback().await {
                tracing::warn!(transaction = name, %error, "rollback failed");
            }
            Err(fault)
        }
    }
}
