//! The live rows of a chain, read a page at a time.

use std::collections::VecDeque;

use identity_store::{Chain, Result, SealedRow, Store};

use super::PAGE;

/// Reads a chain's rows in order, with one row of foresight.
pub(super) struct LiveRows<'a> {
    store: &'a dyn Store,
    chain: &'a Chain,
    page: VecDeque<SealedRow>,
    after: u64,
}

impl<'a> LiveRows<'a> {
    /// The rows of `chain` beyond the place `after`.
    pub(super) fn beyond(store: &'a dyn Store, chain: &'a Chain, after: u64) -> Self {
        Self {
            store,
            chain,
            page: VecDeque::new(),
            after,
        }
    }

    /// The next row; `None` where the chain ends now. Asked again later, it goes on with rows that
    /// were sealed since.
    pub(super) async fn next(&mut self) -> Result<Option<SealedRow>> {
        self.read_on().await?;
        Ok(self.page.pop_front())
    }

    /// The next row, if its place is not beyond `position`.
    pub(super) async fn next_up_to(&mut self, position: u64) -> Result<Option<SealedRow>> {
        self.read_on().await?;
        Ok(self.page.pop_front_if(|row| row.position <= position))
    }

    async fn read_on(&mut self) -> Result<()> {
        if self.page.is_empty() {
            let rows = self
                .store
                .sealed_audit(self.chain, self.after, PAGE)
                .await?;
            self.after = rows.last().map_or(self.after, |row| row.position);
            self.page = rows.into();
        }
        Ok(())
    }
}
