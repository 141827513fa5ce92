use async_trait::async_trait;

use crate::{AuditId, AuditRow, Chain, ChainHead, Change, Event, OutboxEvent, Result};

/// The audit trail and the outbox.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Records events that change no other data, such as a refused pairing.
    async fn record(&self, change: Change, chain: Chain, events: Vec<Event>) -> Result<()>;

    /// Gives at most `limit` unsealed rows their place in their chain and their hash, in the order
    /// they were committed; returns how many.
    async fn seal_audit(&self, limit: u32) -> Result<u64>;

    /// The sealed rows of a chain in order, at most `limit`, beyond `after`.
    async fn sealed_audit(
        &self,
        chain: &Chain,
        after: Option<&AuditId>,
        limit: u32,
    ) -> Result<Vec<AuditRow>>;

    /// Where a chain ends.
    async fn chain_head(&self, chain: &Chain) -> Result<ChainHead>;

    /// Events of the outbox in the order they were committed, at most `limit`, beyond the first
    /// `after` ones. Of all tenants: this feeds the delivery.
    async fn outbox(&self, after: u64, limit: u32) -> Result<Vec<OutboxEvent>>;
}
