use async_trait::async_trait;
use identity_pki::TenantId;
use time::OffsetDateTime;

use crate::{Change, Erasure, ErasureId, Result, Tombstone, UserId};

/// Erasures of users from every store that holds something of them.
///
/// A user whose erasure began is gone: no method but those of this trait, and those that erase palms, finds
/// them. Until it is completed, the palm server may know them by their id: that is taken until then.
/// Afterwards it may be somebody else's. An erasure stays when it is over.
#[async_trait]
pub trait ErasureStore: Send + Sync {
    /// Begins the erasure of a user under an id that was drawn. Name, addresses, identity verification and
    /// consents are deleted, both palms are due for erasure at the palm server (one that no record tells
    /// of may be there), and open challenges are canceled with reason `user_barred`. A user whose erasure
    /// began under this id is answered with it: nothing changes, without an event. Events: `user_deleted`,
    /// and `challenge_canceled` for each challenge.
    ///
    /// # Errors
    ///
    /// [`Entity::User`](crate::Entity::User) is not found;
    /// [`Conflict::UserBeingErased`](crate::Conflict::UserBeingErased), under another id.
    async fn begin_erasure(
        &self,
        change: Change,
        tenant_id: &TenantId,
        user_id: &UserId,
        erasure_id: ErasureId,
        reason: String,
    ) -> Result<Erasure>;

    /// Begins the erasure that a tombstone tells of, if the user is there: a backup from before brought
    /// them back. As [`begin_erasure`](Self::begin_erasure) does; `false` when nobody of the tenant is
    /// known by the internal id, or they are being erased.
    async fn erase_again(&self, change: Change, tombstone: Tombstone) -> Result<bool>;

    /// The erasure of the user that is not completed.
    async fn erasure_of(&self, tenant_id: &TenantId, user_id: &UserId) -> Result<Option<Erasure>>;

    /// Reads an erasure.
    async fn erasure(
        &self,
        tenant_id: &TenantId,
        erasure_id: &ErasureId,
    ) -> Result<Option<Erasure>>;

    /// Erasures of all tenants that are not completed, beyond `after`, those asked for first, and those of
    /// one moment by tenant and id, at most `limit`.
    async fn running_erasures(&self, after: Option<&Erasure>, limit: u32) -> Result<Vec<Erasure>>;

    /// Deletes challenges of a user who is being erased, with their attempts and the
    /// [authentication requests](crate::BackchannelStore) that they answer, at most `limit`; returns how
    /// many. A challenge with an attempt that is under way at `now` stays: what the palm server is
    /// about to learn by it has to be erased behind it.
    async fn erase_challenges(
        &self,
        tombstone: &Tombstone,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<u64>;

    /// Completes an erasure for which the palm server has answered and of whose user no challenge is left:
    /// the rest of the user goes, and `receipt` is kept. `false` when it is not so, or is completed:
    /// nothing changes. Event: `erasure_completed`.
    async fn complete_erasure(
        &self,
        change: Change,
        tombstone: &Tombstone,
        receipt: String,
    ) -> Result<bool>;

    /// The tombstones of all tenants beyond `after`, by tenant and id, at most `limit`: of erasures that
    /// are not completed too.
    async fn tombstones(&self, after: Option<&Tombstone>, limit: u32) -> Result<Vec<Tombstone>>;
}
