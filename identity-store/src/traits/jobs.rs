use async_trait::async_trait;
use identity_pki::TenantId;
use time::OffsetDateTime;

use crate::{Change, DeviceSelection, Job, JobId, JobProgress, JobWork, NewJob, Result};

/// Work that goes on after the answer to whoever asked for it. One runner at a time takes it up, by a
/// lease; whatever becomes of the runner, each device is dealt with once.
#[async_trait]
pub trait JobStore: Send + Sync {
    /// How many devices a job finds that is asked for now.
    async fn matched_devices(&self, work: &JobWork) -> Result<u64>;

    /// Queues a job. Event: `job_created`, in the chain of its owner.
    ///
    /// # Errors
    ///
    /// [`Entity::Tenant`](crate::Entity::Tenant) is not found: its owner, or the one that it works on. For
    /// the devices of a CA what
    /// [`CaRotation::revoke_devices`](identity_pki::CaRotation::revoke_devices) refuses, as
    /// [`Conflict::CaRotation`](crate::Conflict::CaRotation).
    async fn create_job(&self, change: Change, job: NewJob) -> Result<Job>;

    /// How many devices a tenant's selection finds now.
    async fn selected_devices(&self, tenant_id: &TenantId, devices: DeviceSelection)
    -> Result<u64>;

    /// Queues a job for devices of its owner, which are chosen now. Its total is how many they are. Event:
    /// `job_created`, in the chain of its owner.
    ///
    /// # Errors
    ///
    /// [`Entity::Tenant`](crate::Entity::Tenant) is not found.
    async fn create_device_job(
        &self,
        change: Change,
        job: NewJob,
        devices: DeviceSelection,
    ) -> Result<Job>;

    /// Reads a job of a tenant, or of the platform.
    async fn job(&self, tenant_id: Option<&TenantId>, job_id: &JobId) -> Result<Option<Job>>;

    /// The job that was asked for first of those that have not ended, whoever's it is; or the first of
    /// those that were asked for after `behind`.
    async fn next_job(&self, behind: Option<&Job>) -> Result<Option<Job>>;

    /// Does the next piece of a job: revokes at most `batch` devices as
    /// [`revoke_device`](crate::DeviceStore::revoke_device) does, or tags them as
    /// [`update_device`](crate::DeviceStore::update_device) does, in the order of tenants and devices, and
    /// notes how far it came. A device that would have more than
    /// [`MAX_DEVICE_TAGS`](crate::MAX_DEVICE_TAGS) counts as failed. A device that is no longer meant, such as one that was revoked or has a
    /// certificate of another CA by then, is passed over uncounted. Where fewer are left the job ends, and
    /// so does the trust in the CA whose devices it revoked: its key is deleted, unless it was retired
    /// before. A job that has ended stays as it is.
    ///
    /// Events: those of [`revoke_device`](crate::DeviceStore::revoke_device) or
    /// [`update_device`](crate::DeviceStore::update_device), for each device that changes in its tenant's
    /// chain, and `job_device_failed` in that of the job's owner. At the end, in that chain,
    /// `platform_ca_retired` if a CA was retired, and `device_certs_bulk_revoked`, or `job_ended` of a job that
    /// revokes nothing.
    ///
    /// # Errors
    ///
    /// [`Entity::Job`](crate::Entity::Job) is not found.
    async fn work_on_job(
        &self,
        change: Change,
        tenant_id: Option<&TenantId>,
        job_id: &JobId,
        batch: u32,
    ) -> Result<JobProgress>;

    /// Counts the next device as failed, for the reason `why`, and goes on behind it; it stays as it is. A
    /// job that has ended, or has no device left, stays as it is. Event: `job_device_failed`, in the
    /// chain of its owner, where there is a device.
    ///
    /// # Errors
    ///
    /// [`Entity::Job`](crate::Entity::Job) is not found.
    async fn pass_device_over(
        &self,
        change: Change,
        tenant_id: Option<&TenantId>,
        job_id: &JobId,
        why: &str,
    ) -> Result<Job>;

    /// Deletes jobs that ended before `before`; returns how many there were. No event.
    async fn purge_jobs(&self, before: OffsetDateTime) -> Result<u64>;
}
