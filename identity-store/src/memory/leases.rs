use async_trait::async_trait;
use time::OffsetDateTime;

use super::MemoryStore;
use super::state::LeaseRow;
use crate::posting::to_millisecond;
use crate::{Lease, LeaseName, LeaseStore, ReplicaId, Result};

#[async_trait]
impl LeaseStore for MemoryStore {
    async fn acquire_lease(
        &self,
        name: LeaseName,
        holder: &ReplicaId,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<Option<Lease>> {
        let (now, until) = (to_millisecond(now), to_millisecond(until));
        let mut state = self.state();
        let fence = match state.leases.get(&name) {
            None => 1,
            Some(row) if row.lease.holder == *holder => row.lease.fence,
            Some(row) if row.has_run_out(now, until) => row.lease.fence + 1,
            Some(_) => return Ok(None),
        };
        let lease = Lease {
            name,
            holder: holder.clone(),
            fence,
            until,
        };
        let row = LeaseRow {
            lease: lease.clone(),
            renewed_at: now,
        };
        state.leases.insert(name, row);
        Ok(Some(lease))
    }

    async fn release_lease(&self, lease: &Lease) -> Result<()> {
        let mut state = self.state();
        let row = state.leases.get_mut(&lease.name);
        if let Some(row) = row.filter(|row| row.is_still(lease)) {
            row.lease.until = OffsetDateTime::UNIX_EPOCH;
        }
        Ok(())
    }
}

impl LeaseRow {
    fn has_run_out(&self, now: OffsetDateTime, until: OffsetDateTime) -> bool {
        self.lease.until <= now || self.renewed_at >= until
    }

    /// Whether nobody else has had the lease since.
    pub(super) fn is_still(&self, lease: &Lease) -> bool {
        self.lease.holder == lease.holder && self.lease.fence == lease.fence
    }
}
