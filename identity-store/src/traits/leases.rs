use async_trait::async_trait;
use time::OffsetDateTime;

use crate::{Lease, LeaseName, ReplicaId, Result};

/// Who does the work that is to be done once, however many replicas there are.
///
/// A lease is a lock that ends by itself. It saves work, and correctness does not rest on it alone:
/// a holder can sleep through the end of its lease and wake up in the middle of its work. A change
/// that must not happen then is made [`under`](crate::Change::under) the lease, and commits only
/// while no other replica has had it since.
///
/// Moments are those of the callers' clocks, which have to agree to within the time between two
/// renewals and the end of a lease.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// Takes a lease that nobody holds at `now`, or renews the one that `holder` has, until `until`;
    /// `None` while it is another's. The fencing number grows when the holder is another one than
    /// before, and stays in every renewal, one that comes late included if nobody was faster.
    ///
    /// A lease that was taken or renewed at `until` or later, as it seems, has run out: the clock was
    /// set back since, by more than the time that the lease is asked for.
    async fn acquire_lease(
        &self,
        name: LeaseName,
        holder: &ReplicaId,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<Option<Lease>>;

    /// Gives a lease back before it runs out: it is nobody's from now on. One that passed to another
    /// since stays where it is.
    async fn release_lease(&self, lease: &Lease) -> Result<()>;
}
