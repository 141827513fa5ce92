use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use identity_pki::TbsSha256;

use super::table::DigestTable;

/// What the writers need to keep reads and additions in order.
#[derive(Default)]
pub(super) struct Publisher {
    /// Counts reads begun, additions made, and reloads published.
    sequence: u64,
    /// The place in that sequence at which a reload was last published.
    reloaded: u64,
    /// The place of the read that the published snapshot's `as_of` is of: among the published ones
    /// the one that began last.
    freshest: u64,
    /// What was added since, by its place: the reloads that began before it need it.
    added: BTreeMap<u64, Box<[TbsSha256]>>,
    /// Tables that were replaced, while a reader may still hold them.
    retired: Vec<Arc<DigestTable>>,
}

impl Publisher {
    /// The next place in the order of reads and additions.
    pub(super) fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// Keeps an addition for the reloads that began before it.
    pub(super) fn keep(&mut self, entries: Box<[TbsSha256]>) {
        let place = self.next();
        self.added.insert(place, entries);
    }

    /// Whether a reload was published since the one at `place` began. That one may have read the
    /// list later, whichever began first.
    pub(super) fn has_overtaken(&self, place: u64) -> bool {
        place < self.reloaded
    }

    /// What was added since the reload at `place` began.
    pub(super) fn added_since(&self, place: u64) -> impl Iterator<Item = TbsSha256> {
        self.added
            .range(place..)
            .flat_map(|(_, entries)| entries)
            .copied()
    }

    /// Notes that a reload is published. No reload that began before can be any more, and one that
    /// begins now reads what was added so far: that is returned, to be forgotten after the lock.
    pub(super) fn reloaded(&mut self) -> BTreeMap<u64, Box<[TbsSha256]>> {
        self.reloaded = self.next();
        mem::take(&mut self.added)
    }

    /// Notes that the read at `place` is published; whether it tells the age of the list, since none
    /// that began later is.
    pub(super) fn is_freshest(&mut self, place: u64) -> bool {
        let is_freshest = place > self.freshest;
        self.freshest = self.freshest.max(place);
        is_freshest
    }

    /// Keeps a table that was replaced, so that no reader is the one to free it.
    pub(super) fn retire(&mut self, table: Arc<DigestTable>) {
        self.retired.push(table);
    }

    /// The retired tables that no reader holds any more, to be freed after the lock.
    pub(super) fn unused(&mut self) -> Vec<Arc<DigestTable>> {
        self.retired
            .extract_if(.., |table| Arc::strong_count(table) == 1)
            .collect()
    }
}
