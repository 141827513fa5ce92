use async_trait::async_trait;

use super::MemoryStore;
use super::state::State;
use super::transaction::{as_u64, as_usize};
use crate::audit_chain::GENESIS;
use crate::{
    AuditId, AuditRow, AuditStore, Chain, ChainHead, Change, Event, OutboxEvent, Result, audit_hash,
};

const EMPTY: ChainHead = ChainHead {
    length: 0,
    hash: GENESIS,
};

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

    async fn seal_audit(&self, limit: u32) -> Result<u64> {
        let mut state = self.state();
        let from = state.sealed;
        let to = from.saturating_add(as_usize(limit)).min(state.audit.len());
        for _ in from..to {
            state.seal_next()?;
        }
        Ok(as_u64(to - from))
    }

    async fn sealed_audit(
        &self,
        chain: &Chain,
        after: Option<&AuditId>,
        limit: u32,
    ) -> Result<Vec<AuditRow>> {
        let state = self.state();
        let rows = state.audit.iter().take(state.sealed);
        let rows = rows.filter(|row| row.tenant_id.as_ref() == chain.tenant_id());
        // Without `after` nothing is skipped; with it, everything up to and including that row.
        let mut passed = after.is_none();
        let beyond = rows.filter(|row| {
            let is_beyond = passed;
            passed |= Some(&row.id) == after;
            is_beyond
        });
        Ok(beyond.take(as_usize(limit)).cloned().collect())
    }

    async fn chain_head(&self, chain: &Chain) -> Result<ChainHead> {
        Ok(self.state().heads.get(chain).copied().unwrap_or(EMPTY))
    }

    async fn outbox(&self, after: u64, limit: u32) -> Result<Vec<OutboxEvent>> {
        let state = self.state();
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        let beyond = state.outbox.iter().skip(after).take(as_usize(limit));
        Ok(beyond.cloned().collect())
    }
}

impl State {
    /// Seals the first row that is not.
    fn seal_next(&mut self) -> Result<()> {
        let Some(row) = self.audit.get_mut(self.sealed) else {
            return Ok(());
        };
        let chain = match &row.tenant_id {
            Some(tenant_id) => Chain::Tenant(tenant_id.clone()),
            None => Chain::Platform,
        };
        let head = self.heads.entry(chain).or_insert(EMPTY);
        let hash = audit_hash(&head.hash, row)?;
        row.prev_hash = Some(head.hash);
        row.hash = Some(hash);
        *head = ChainHead {
            length: head.length + 1,
            hash,
        };
        self.sealed += 1;
        Ok(())
    }
}
