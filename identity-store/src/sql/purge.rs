//! What is over is deleted in batches, so that no transaction is long.

use time::OffsetDateTime;

use super::SqlStore;
use super::column::ms;
use super::query::{Sql, query};
use super::tx::Isolation;
use crate::Result;

/// How many rows one transaction deletes: a day's are millions.
const BATCH: u16 = 1000;

impl SqlStore {
    /// Runs `statement`, which deletes at most $2 rows that are over at $1, until none is left; returns how
    /// many there were.
    pub(super) async fn purge(
        &self,
        name: &'static str,
        statement: impl Into<Sql>,
        now: OffsetDateTime,
    ) -> Result<u64> {
        let (statement, mut purged) = (statement.into(), 0);
        loop {
            let batch = self.run_tx(name, Isolation::ReadCommitted, move |tx| {
                Box::pin(async move {
                    let delete = query(statement).bind(ms(now)).bind(i64::from(BATCH));
                    Ok(delete.execute(tx.conn()).await?)
                })
            });
            let batch = batch.await?;
            purged += batch;
            if batch < u64::from(BATCH) {
                return Ok(purged);
            }
        }
    }
}
