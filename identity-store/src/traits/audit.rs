use async_trait::async_trait;

use crate::{
    AuditFilter, Chain, ChainHead, ChainState, Change, Event, Month, OutboxEvent, Page,
    PageRequest, Result, Sealed, SealedRow, SignedHead,
};

/// The audit trail and the outbox.
///
/// A change leaves its audit rows and its events without a place, so that writers never wait for one
/// another; the sealer gives the places afterwards. What has no place yet is committed, counted by
/// [`unsealed_audit`](Self::unsealed_audit), and read by nobody else.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Records events that change no other data, such as a refused pairing.
    async fn record(&self, change: Change, chain: Chain, events: Vec<Event>) -> Result<()>;

    /// One turn of the sealer: gives at most `limit` audit rows their place in their chain and their
    /// hash, and at most `limit` events of the outbox their place among all events and their number
    /// among those of their subject.
    ///
    /// Places are given in the order in which rows became visible: a row gets its place after
    /// every row that was committed before its own change wrote it, so that two changes of one
    /// subject that follow one another keep their order. Places and numbers have no gaps. Of two
    /// turns at once one waits for the other; a turn that ends half-way leaves nothing. Writers wait
    /// for no turn where the database lets several write.
    async fn seal_audit(&self, limit: u32) -> Result<Sealed>;

    /// How many audit rows have no place yet: of `chain`, or of all.
    async fn unsealed_audit(&self, chain: Option<&Chain>) -> Result<u64>;

    /// The live rows of a chain that `filter` takes, those that happened last first. Rows without a
    /// place are not among them.
    async fn audit_rows(
        &self,
        chain: &Chain,
        filter: AuditFilter,
        page: PageRequest,
    ) -> Result<Page<SealedRow>>;

    /// The live rows of a chain beyond the place `after`, in order. At most `limit`, but for rows
    /// that claim one place, which come together.
    async fn sealed_audit(&self, chain: &Chain, after: u64, limit: u32) -> Result<Vec<SealedRow>>;

    /// The place of the last live row of a chain that happened before `month` ends.
    async fn last_place_in(&self, chain: &Chain, month: Month) -> Result<Option<u64>>;

    /// Where a chain ends.
    async fn chain_head(&self, chain: &Chain) -> Result<ChainHead>;

    /// A chain as it stands.
    async fn chain_state(&self, chain: &Chain) -> Result<ChainState>;

    /// The platform's chain and every tenant's beyond `after`, in the order of [`Chain`], at most
    /// `limit`; those without rows too.
    async fn chains(&self, after: Option<&Chain>, limit: u32) -> Result<Vec<ChainState>>;

    /// Chains that grew since their head was signed, at most `limit`.
    async fn unsigned_heads(&self, limit: u32) -> Result<Vec<ChainState>>;

    /// Keeps signed heads, each unless the chain has one of a later head.
    async fn keep_signed_heads(&self, heads: Vec<SignedHead>) -> Result<()>;

    /// Events of the outbox that have their place, in order, at most `limit`, beyond the place
    /// `after`. Of all tenants: this feeds the delivery. A place that was read never changes, and
    /// none before it comes later: who goes on from the last place skips nothing.
    async fn outbox(&self, after: u64, limit: u32) -> Result<Vec<OutboxEvent>>;
}
