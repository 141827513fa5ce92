use async_trait::async_trait;

use super::MemoryStore;
use super::listing::page;
use super::state::{ChainRow, State};
use super::transaction::{as_u64, as_usize};
use crate::{
    AuditFilter, AuditRow, AuditStore, Chain, ChainHead, ChainState, Change, Event, Month,
    OutboxEvent, Page, PageRequest, Result, Sealed, SealedRow, SignedHead, audit_chain,
};

fn takes(filter: &AuditFilter, row: &AuditRow) -> bool {
    let is = |wanted: &Option<String>, found: &str| {
        wanted.as_deref().is_none_or(|wanted| wanted == found)
    };
    is(&filter.actor, &row.actor.id)
        && is(&filter.action, &row.action)
        && is(&filter.subject, &row.subject)
        && filter
            .severity
            .is_none_or(|severity| severity == row.severity)
        && filter.from.is_none_or(|from| row.at >= from)
        && filter.to.is_none_or(|to| row.at < to)
}

#[async_trait]
impl AuditStore for MemoryStore {
    async fn record(&self, change: Change, chain: Chain, events: Vec<Event>) -> Result<()> {
        self.commit(change, |tx| {
            for event in &events {
                tx.post(&chain, event);
            }
            Ok(())
        })
    }

    async fn seal_audit(&self, limit: u32) -> Result<Sealed> {
        let mut state = self.state();
        let mut next = state.clone();
        let rows = next.unsealed.len().min(as_usize(limit));
        let events = next.unplaced.len().min(as_usize(limit));
        next.seal(rows)?;
        next.place(events);
        *state = next;
        Ok(Sealed {
            rows: as_u64(rows),
            events: as_u64(events),
        })
    }

    async fn unsealed_audit(&self, chain: Option<&Chain>) -> Result<u64> {
        let state = self.state();
        let wanted = |row: &&AuditRow| chain.is_none_or(|chain| row.chain() == *chain);
        Ok(as_u64(state.unsealed.iter().filter(wanted).count()))
    }

    async fn audit_rows(
        &self,
        chain: &Chain,
        filter: AuditFilter,
        request: PageRequest,
    ) -> Result<Page<SealedRow>> {
        let state = self.state();
        let live = state.chains.get(chain).map_or(&[][..], |chain| &chain.live);
        let rows = live.iter().filter(|sealed| takes(&filter, &sealed.row));
        page(rows.cloned().collect(), &request, |sealed: &SealedRow| {
            (sealed.row.at, sealed.row.id.as_str())
        })
    }

    async fn sealed_audit(&self, chain: &Chain, after: u64, limit: u32) -> Result<Vec<SealedRow>> {
        let state = self.state();
        let live = state.chains.get(chain).map_or(&[][..], |chain| &chain.live);
        let beyond = live.iter().filter(|sealed| sealed.position > after);
        Ok(beyond.take(as_usize(limit)).cloned().collect())
    }

    async fn last_place_in(&self, chain: &Chain, month: Month) -> Result<Option<u64>> {
        let state = self.state();
        let live = state.chains.get(chain).map_or(&[][..], |chain| &chain.live);
        let end = month.next().start();
        let before = live.iter().filter(|sealed| sealed.row.at < end);
        Ok(before.map(|sealed| sealed.position).max())
    }

    async fn chain_head(&self, chain: &Chain) -> Result<ChainHead> {
        Ok(self.state().head(chain))
    }

    async fn chain_state(&self, chain: &Chain) -> Result<ChainState> {
        Ok(self.state().chain_state(chain.clone()))
    }

    async fn chains(&self, after: Option<&Chain>, limit: u32) -> Result<Vec<ChainState>> {
        let state = self.state();
        let tenants = state.tenants.keys().cloned().map(Chain::Tenant);
        let all = [Chain::Platform].into_iter().chain(tenants);
        let beyond = all.filter(|chain| after.is_none_or(|after| chain > after));
        let stand = beyond.map(|chain| state.chain_state(chain));
        Ok(stand.take(as_usize(limit)).collect())
    }

    async fn unsigned_heads(&self, limit: u32) -> Result<Vec<ChainState>> {
        let state = self.state();
        let all = state.chains.iter().map(|(name, chain)| ChainState {
            chain: name.clone(),
            head: chain.head,
            signed: chain.signed.clone(),
        });
        let signed_length =
            |state: &ChainState| state.signed.as_ref().map_or(0, |it| it.head.length);
        let grown = all.filter(|state| signed_length(state) < state.head.length);
        Ok(grown.take(as_usize(limit)).collect())
    }

    async fn keep_signed_heads(&self, heads: Vec<SignedHead>) -> Result<()> {
        let mut state = self.state();
        for head in heads {
            let Some(chain) = state.chains.get_mut(&head.chain) else {
                continue;
            };
            let is_later = |kept: &SignedHead| kept.head.length < head.head.length;
            if chain.signed.as_ref().is_none_or(is_later) {
                chain.signed = Some(head);
            }
        }
        Ok(())
    }

    async fn outbox(&self, after: u64, limit: u32) -> Result<Vec<OutboxEvent>> {
        let state = self.state();
        let beyond = state.outbox.iter().filter(|event| event.position > after);
        Ok(beyond.take(as_usize(limit)).cloned().collect())
    }
}

impl State {
    /// Where a chain ends.
    pub(super) fn head(&self, chain: &Chain) -> ChainHead {
        self.chains
            .get(chain)
            .map_or(ChainHead::EMPTY, |chain| chain.head)
    }

    fn chain_state(&self, chain: Chain) -> ChainState {
        let signed = self.chains.get(&chain).map(|chain| chain.signed.clone());
        ChainState {
            head: self.head(&chain),
            signed: signed.flatten(),
            chain,
        }
    }

    /// Seals the first `count` rows that have no place.
    fn seal(&mut self, count: usize) -> Result<()> {
        for row in self.unsealed.drain(..count) {
            let chain = self.chains.entry(row.chain()).or_insert(ChainRow {
                live: Vec::new(),
                head: ChainHead::EMPTY,
                signed: None,
                archived: Vec::new(),
            });
            let sealed = audit_chain::seal(&chain.head, row)?;
            chain.head = sealed.head();
            chain.live.push(sealed);
        }
        Ok(())
    }

    /// Gives the first `count` events that have no place theirs, and their number.
    fn place(&mut self, count: usize) {
        for mut event in self.unplaced.drain(..count) {
            let of_the_subject = |earlier: &&OutboxEvent| {
                earlier.tenant_id == event.tenant_id && earlier.subject == event.subject
            };
            let earlier = self.outbox.iter().filter(of_the_subject);
            let purged = (event.tenant_id.clone(), event.subject.clone());
            let purged = self.numbers.get(&purged).copied();
            let last = earlier.map(|event| event.sequence).max().max(purged);
            event.sequence = last.unwrap_or(0) + 1;
            self.placed += 1;
            event.position = self.placed;
            self.outbox.push(event);
        }
    }
}
