//! The audit trail beyond its rows: signed heads, archives, verification, retention (contract §12).

pub mod archive;
pub mod command;
pub mod heads;
pub mod kept;
mod live;
pub mod piece;
pub mod retention;
pub mod verify;

use std::collections::VecDeque;

use identity_store::{Chain, ChainState, Result, SealedRow, Store};

use live::LiveRows;

/// How many rows or chains are read at once.
const PAGE: u32 = 1000;

/// Walks over all chains, a page at a time.
struct Chains<'a> {
    store: &'a dyn Store,
    page: VecDeque<ChainState>,
    after: Option<Chain>,
}

impl<'a> Chains<'a> {
    fn of(store: &'a dyn Store) -> Self {
        Self {
            store,
            page: VecDeque::new(),
            after: None,
        }
    }

    async fn next(&mut self) -> Result<Option<ChainState>> {
        if self.page.is_empty() {
            self.page = self.store.chains(self.after.as_ref(), PAGE).await?.into();
        }
        let next = self.page.pop_front();
        if let Some(state) = &next {
            self.after = Some(state.chain.clone());
        }
        Ok(next)
    }
}

/// A chain's name in file names: `platform`, or `tenant-` and the tenant's id.
pub(crate) fn file_stem(chain: &Chain) -> String {
    match chain.tenant_id() {
        None => "platform".to_owned(),
        Some(tenant_id) => format!("tenant-{}", tenant_id.as_str()),
    }
}

/// The live rows of a chain whose place is not beyond `end`, read a page at a time.
pub(crate) struct RowsUpTo<'a> {
    rows: LiveRows<'a>,
    end: u64,
}

pub(crate) fn rows_up_to<'a>(store: &'a dyn Store, chain: &'a Chain, end: u64) -> RowsUpTo<'a> {
    RowsUpTo {
        rows: LiveRows::beyond(store, chain, 0),
        end,
    }
}

impl RowsUpTo<'_> {
    pub(crate) async fn next(&mut self) -> Result<Option<SealedRow>> {
        self.rows.next_up_to(self.end).await
    }
}
