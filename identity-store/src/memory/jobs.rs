use std::collections::BTreeSet;

use async_trait::async_trait;
use identity_pki::{DeviceIdentity, TenantId};
use time::{OffsetDateTime, PrimitiveDateTime};

use super::MemoryStore;
use super::devices::matches;
use super::state::{JobRow, State};
use super::transaction::{Transaction, as_u64, as_usize};
use crate::ca_rotation::rotation;
use crate::{
    Change, Conflict, DeniedCertificate, DeviceEdit, DeviceSelection, Entity, Error, Job, JobId,
    JobProgress, JobStatus, JobStore, JobWork, NewJob, Result,
};

#[async_trait]
impl JobStore for MemoryStore {
    async fn matched_devices(&self, work: &JobWork) -> Result<u64> {
        let state = self.state();
        // Whatever the clocks of those who registered them say.
        let end_of_time = PrimitiveDateTime::MAX.assume_utc();
        let matched = state.meant(work, None, end_of_time);
        Ok(as_u64(matched.count()))
    }

    async fn create_job(&self, change: Change, new: NewJob) -> Result<Job> {
        self.commit(change, |tx| tx.create_job(new, BTreeSet::new()))
    }

    async fn selected_devices(
        &self,
        tenant_id: &TenantId,
        devices: DeviceSelection,
    ) -> Result<u64> {
        let state = self.state();
        Ok(as_u64(state.selected(tenant_id, &devices).len()))
    }

    async fn create_device_job(
        &self,
        change: Change,
        mut new: NewJob,
        devices: DeviceSelection,
    ) -> Result<Job> {
        self.commit(change, |tx| {
            let owner = new.tenant_id.as_ref();
            let chosen = owner.map(|tenant_id| tx.state.selected(tenant_id, &devices));
            let chosen = chosen.unwrap_or_default();
            new.total = as_u64(chosen.len());
            tx.create_job(new, chosen)
        })
    }

    async fn job(&self, tenant_id: Option<&TenantId>, job_id: &JobId) -> Result<Option<Job>> {
        let state = self.state();
        let mut jobs = state.jobs.iter().map(|row| &row.job);
        let job = jobs.find(|job| job.tenant_id.as_ref() == tenant_id && job.job_id == *job_id);
        Ok(job.cloned())
    }

    async fn next_job(&self, behind: Option<&Job>) -> Result<Option<Job>> {
        let state = self.state();
        let waiting = state.jobs.iter().map(|row| &row.job);
        let waiting = waiting.filter(|job| !job.status.has_ended());
        let place = |job: &Job| (job.created_at, job.job_id.clone());
        let behind = behind.map(place);
        let waiting = waiting.filter(|job| behind.as_ref().is_none_or(|it| place(job) > *it));
        let first = waiting.min_by_key(|job| place(job));
        Ok(first.cloned())
    }

    async fn work_on_job(
        &self,
        change: Change,
        tenant_id: Option<&TenantId>,
        job_id: &JobId,
        batch: u32,
    ) -> Result<JobProgress> {
        self.commit(change, |tx| tx.work_on_job(tenant_id, job_id, batch))
    }

    async fn pass_device_over(
        &self,
        change: Change,
        tenant_id: Option<&TenantId>,
        job_id: &JobId,
        why: &str,
    ) -> Result<Job> {
        self.commit(change, |tx| {
            let mut row = tx.job_row(tenant_id, job_id)?;
            let next = tx.state.next_of(&row, 1).pop();
            if let Some(device) = next.filter(|_| !row.job.status.has_ended()) {
                row.job.status = JobStatus::Running;
                row.job.failed += 1;
                tx.post(&row.job.chain(), &row.job.device_failed(&device, why));
                row.behind = Some(device);
                tx.put_job(row.clone());
            }
            Ok(row.job)
        })
    }

    async fn purge_jobs(&self, before: OffsetDateTime) -> Result<u64> {
        let jobs = &mut self.state().jobs;
        let count = jobs.len();
        jobs.retain(|row| row.job.ended_at.is_none_or(|ended| ended >= before));
        Ok(as_u64(count - jobs.len()))
    }
}

impl State {
    /// The devices behind one that work asked for at `asked_at` is to be done to, in their order.
    fn meant(
        &self,
        work: &JobWork,
        behind: Option<&DeviceIdentity>,
        asked_at: OffsetDateTime,
    ) -> impl Iterator<Item = DeviceIdentity> {
        let rows = self.devices.values().map(|row| &row.device);
        let meant = rows.filter(move |device| work.is_meant(device, asked_at));
        let identities = meant.map(|device| device.identity.clone());
        identities.filter(move |identity| behind.is_none_or(|behind| identity > behind))
    }

    fn next_of(&self, row: &JobRow, batch: u32) -> Vec<DeviceIdentity> {
        let meant = self.meant(&row.job.work, row.behind.as_ref(), row.job.created_at);
        let names_its_devices = matches!(row.job.work, JobWork::Devices { .. });
        let meant = meant.filter(|device| !names_its_devices || row.chosen.contains(device));
        meant.take(as_usize(batch)).collect()
    }

    fn selected(
        &self,
        tenant_id: &TenantId,
        devices: &DeviceSelection,
    ) -> BTreeSet<DeviceIdentity> {
        let rows = self.devices.values().filter(|row| {
            let identity = &row.device.identity;
            identity.tenant_id() == tenant_id
                && match devices {
                    DeviceSelection::Ids(ids) => ids.contains(identity.device_id()),
                    DeviceSelection::Filter(filter) => matches(&row.at(filter.now), filter),
                }
        });
        rows.map(|row| row.device.identity.clone()).collect()
    }
}

impl Transaction<'_> {
    fn create_job(&mut self, new: NewJob, chosen: BTreeSet<DeviceIdentity>) -> Result<Job> {
        if let Some(owner) = &new.tenant_id {
            self.tenant_mut(&owner.clone())?;
        }
        match &new.work {
            JobWork::RevokeTenant { tenant_id, .. } => {
                self.tenant_mut(tenant_id)?;
            }
            JobWork::RevokeCa { ca } => {
                let cas = self.state.cas.iter();
                rotation(cas.map(|ca| (ca.fingerprint, ca.state)))?.revoke_devices(*ca)?;
            }
            // Its owner's.
            JobWork::Devices { .. } => {}
        }
        let mut jobs = self.state.jobs.iter();
        if jobs.any(|row| row.job.job_id == new.job_id) {
            return Err(Error::Conflict(Conflict::IdTaken));
        }
        let job = Job {
            job_id: new.job_id,
            tenant_id: new.tenant_id,
            work: new.work,
            status: JobStatus::Queued,
            total: new.total,
            done: 0,
            failed: 0,
            asked_by: new.asked_by,
            request_id: self.change.request_id.clone(),
            created_at: self.at(),
            ended_at: None,
        };
        self.state.jobs.push(JobRow {
            job: job.clone(),
            behind: None,
            chosen,
        });
        self.post(&job.chain(), &job.created());
        Ok(job)
    }

    fn job_row(&self, tenant_id: Option<&TenantId>, job_id: &JobId) -> Result<JobRow> {
        let mut rows = self.state.jobs.iter();
        let row =
            rows.find(|row| row.job.tenant_id.as_ref() == tenant_id && row.job.job_id == *job_id);
        row.cloned().ok_or(Error::NotFound(Entity::Job))
    }

    fn put_job(&mut self, row: JobRow) {
        let jobs = self.state.jobs.iter_mut();
        for stored in jobs.filter(|stored| stored.job.job_id == row.job.job_id) {
            *stored = row.clone();
        }
    }

    fn deal_with(
        &mut self,
        job: &mut Job,
        identity: &DeviceIdentity,
    ) -> Result<Vec<DeniedCertificate>> {
        let device = self.device_row(identity)?.device.clone();
        let tagged = match &job.work {
            JobWork::Devices { action, .. } => action.tagged(&device.tags),
            JobWork::RevokeTenant { .. } | JobWork::RevokeCa { .. } => None,
        };
        let Some(tags) = tagged else {
            job.done += 1;
            return Ok(self.revoke_device(identity)?.denied);
        };
        if let Some(failed) = job.too_many_tags(&device, &tags) {
            job.failed += 1;
            self.post(&job.chain(), &failed);
            return Ok(Vec::new());
        }
        if tags != device.tags {
            let edit = DeviceEdit {
                tags: Some(tags),
                ..DeviceEdit::default()
            };
            self.update_device(identity, edit)?;
        }
        job.done += 1;
        Ok(Vec::new())
    }

    fn work_on_job(
        &mut self,
        tenant_id: Option<&TenantId>,
        job_id: &JobId,
        batch: u32,
    ) -> Result<JobProgress> {
        let mut row = self.job_row(tenant_id, job_id)?;
        let mut denied = Vec::new();
        if row.job.status.has_ended() {
            let job = row.job;
            return Ok(JobProgress { job, denied });
        }
        let next = self.state.next_of(&row, batch);
        row.job.status = JobStatus::Running;
        for device in &next {
            denied.extend(self.deal_with(&mut row.job, device)?);
            row.behind = Some(device.clone());
        }
        if next.len() < as_usize(batch) {
            row.job.end(self.at());
            if let JobWork::RevokeCa { ca } = row.job.work {
                self.retire_after_revocation(ca)?;
            }
            self.post(&row.job.chain(), &row.job.ended());
        }
        let job = row.job.clone();
        self.put_job(row);
        Ok(JobProgress { job, denied })
    }
}
