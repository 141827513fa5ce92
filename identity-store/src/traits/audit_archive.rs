use async_trait::async_trait;

use crate::{ArchiveManifest, Chain, ChainHead, Month, Result, Retired};

/// Old pieces of the audit chains: what was archived, and what goes from the database for it.
#[async_trait]
pub trait AuditArchiveStore: Send + Sync {
    /// The manifests of a chain, in the order of the chain.
    async fn archive_manifests(&self, chain: &Chain) -> Result<Vec<ArchiveManifest>>;

    /// Keeps the manifest of a piece that was archived.
    ///
    /// # Errors
    ///
    /// [`Conflict::ArchiveGap`](crate::Conflict::ArchiveGap) when it does not begin where the chain's
    /// last manifest ends, does not end with rows that are sealed, or its month is not later.
    async fn keep_archive_manifest(&self, manifest: ArchiveManifest) -> Result<()>;

    /// Drops the live rows that happened before `month` ends, all of them or none: each has to lie in
    /// its chain up to the head that `verified` names for it, the head of a manifest that was checked
    /// against its file and these rows. Chains go on from there.
    ///
    /// # Errors
    ///
    /// [`Conflict::ArchiveGap`](crate::Conflict::ArchiveGap) when `verified` names a head that is no
    /// manifest's; nothing is dropped then.
    async fn retire_audit(
        &self,
        month: Month,
        verified: Vec<(Chain, ChainHead)>,
    ) -> Result<Retired>;

    /// Makes partitions for `months`, where months are partitions and these are not there yet.
    /// Returns how many rows lie in no month's partition: rows of a clock that is off, or of months
    /// that nobody made in time.
    async fn prepare_audit_months(&self, months: &[Month]) -> Result<u64>;
}
