//! Leases: who does what is to be done once.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::SqlStore;
use super::column::{Columns, ms};
use super::fault::Step;
use super::query::{Sql, query};
use super::tx::{Isolation, Tx};
use crate::posting::to_millisecond;
use crate::{Conflict, Lease, LeaseName, LeaseStore, ReplicaId, Result};

const ACQUIRE: &str = "
    INSERT INTO leases (name, holder, fence, renewed_at, lease_until) VALUES ($1, $2, 1, $3, $4)
    ON CONFLICT (name) DO UPDATE
    SET holder = $2, fence = leases.fence + CASE WHEN leases.holder = $2 THEN 0 ELSE 1 END,
        renewed_at = $3, lease_until = $4
    WHERE leases.holder = $2 OR leases.lease_until <= $3 OR leases.renewed_at >= $4
    RETURNING fence";
const RELEASE: &str = "
    UPDATE leases SET lease_until = 0 WHERE name = $1 AND holder = $2 AND fence = $3";
/// Nobody takes the lease before the change is committed that rests on it.
const STILL: Sql = Sql {
    sqlite: "SELECT 1 FROM leases WHERE name = $1 AND holder = $2 AND fence = $3",
    postgres: "SELECT 1 FROM leases WHERE name = $1 AND holder = $2 AND fence = $3 FOR SHARE",
};

/// Refuses work under a lease that another replica has had since.
pub(super) async fn must_still_be(tx: &mut Tx, lease: &Lease) -> Step<()> {
    let still = query(STILL)
        .bind(lease.name.as_str())
        .bind(lease.holder.as_str())
        .bind(fence(lease))
        .fetch_optional(tx.conn())
        .await?;
    match still {
        Some(_) => Ok(()),
        None => Err(Conflict::LeaseLost.into()),
    }
}

fn fence(lease: &Lease) -> i64 {
    i64::try_from(lease.fence).unwrap_or(i64::MAX)
}

async fn acquire(
    tx: &mut Tx,
    name: LeaseName,
    holder: ReplicaId,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Step<Option<Lease>> {
    let row = query(ACQUIRE)
        .bind(name.as_str())
        .bind(holder.as_str())
        .bind(ms(now))
        .bind(ms(until))
        .fetch_optional(tx.conn())
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    Ok(Some(Lease {
        name,
        holder,
        fence: Columns::of(&row, "leases").number("fence")?,
        until: to_millisecond(until),
    }))
}

#[async_trait]
impl LeaseStore for SqlStore {
    async fn acquire_lease(
        &self,
        name: LeaseName,
        holder: &ReplicaId,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<Option<Lease>> {
        let holder = holder.clone();
        self.run_tx("acquire_lease", Isolation::ReadCommitted, move |tx| {
            Box::pin(acquire(tx, name, holder, now, until))
        })
        .await
    }

    async fn release_lease(&self, lease: &Lease) -> Result<()> {
        let lease = lease.clone();
        self.run_tx("release_lease", Isolation::ReadCommitted, move |tx| {
            Box::pin(async move {
                query(RELEASE)
                    .bind(lease.name.as_str())
                    .bind(lease.holder.as_str())
                    .bind(fence(&lease))
                    .execute(tx.conn())
                    .await?;
                Ok(())
            })
        })
        .await
    }
}
