use identity_pki::TenantId;
use time::OffsetDateTime;

use crate::{ErasureId, InternalUserId};

/// What is left of a user who was, or is being, erased: nobody is named by it. A backup from before has
/// the same user under the same internal id, and whoever had the integrator's id since has another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The erasure.
    pub erasure_id: ErasureId,
    /// How audit rows know the user.
    pub internal_id: InternalUserId,
}

/// The erasure of a user from every store that holds something of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Whose it is, and its id.
    pub tombstone: Tombstone,
    /// When it was asked for.
    pub requested_at: OffsetDateTime,
    /// When the palm server had answered for both palms.
    pub palm_server_at: Option<OffsetDateTime>,
    /// When nothing of the user was left in the database either.
    pub completed_at: Option<OffsetDateTime>,
    /// What proves it, once it is completed. The store keeps it and does not read it.
    pub receipt: Option<String>,
}
