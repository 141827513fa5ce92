//! Jobs, and where each has come to.

use async_trait::async_trait;
use identity_pki::{DeviceIdentity, TenantId};
use time::OffsetDateTime;

use super::column::{Columns, json, ms, word};
use super::connection::Connection;
use super::fault::{Step, taken};
use super::query::{Query, Sql, query};
use super::row::Row;
use super::tx::{ChangeTx, Isolation};
use super::{SqlStore, device_rows, devices, pairing, secrets, tenants};
use crate::{
    Actor, Change, Conflict, DeniedCertificate, Device, DeviceAction, DeviceEdit, DeviceSelection,
    Entity, Job, JobId, JobProgress, JobStatus, JobStore, JobWork, NewJob, Result,
};

macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT tenant_id, job_id, kind, target, reason, tags, status, total, done, failed, behind_tenant,
                    behind_device, asked_by, request_id, created_at, ended_at
             FROM jobs ",
            $which
        )
    };
}

const ONE: &str = select!("WHERE tenant_id = $1 AND job_id = $2");
const LOCKED: Sql = Sql {
    sqlite: ONE,
    postgres: select!("WHERE tenant_id = $1 AND job_id = $2 FOR NO KEY UPDATE"),
};
const NEXT: &str = select!(
    "WHERE status IN ('queued', 'running') AND (created_at, job_id) > ($1, $2)
     ORDER BY created_at, job_id LIMIT 1"
);
const PURGE: &str = "
    DELETE FROM jobs WHERE (tenant_id, job_id) IN (
        SELECT tenant_id, job_id FROM jobs WHERE ended_at < $1 LIMIT $2)";
const INSERT: &str = "
    INSERT INTO jobs (tenant_id, job_id, kind, target, reason, status, total, done, failed,
                      behind_tenant, behind_device, asked_by, request_id, created_at, tags)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, '', '', $8, $9, $10, $11)";
const SET_TOTAL: &str = "UPDATE jobs SET total = $3 WHERE tenant_id = $1 AND job_id = $2";
const IS_THERE: &str = "SELECT 1 FROM devices WHERE tenant_id = $1 AND device_id = $2";
const CHOOSE: &str = "
    INSERT INTO job_devices (tenant_id, job_id, device_id)
    SELECT tenant_id, $3, device_id FROM devices WHERE tenant_id = $1 AND device_id = $2";
const NEXT_OF_JOB: &str = "
    SELECT tenant_id, device_id FROM job_devices
    WHERE tenant_id = $1 AND job_id = $2 AND device_id > $3 ORDER BY device_id LIMIT $4";
const UPDATE: &str = "
    UPDATE jobs SET status = $3, total = $4, done = $5, failed = $6, behind_tenant = $7,
                    behind_device = $8, ended_at = $9
    WHERE tenant_id = $1 AND job_id = $2";

const DEVICES_OF_TENANT: &str = "
    SELECT count(*) AS devices FROM devices WHERE tenant_id = $1 AND status <> 'revoked'";
const NEXT_OF_TENANT: &str = "
    SELECT tenant_id, device_id FROM devices
    WHERE tenant_id = $1 AND device_id > $2 AND status <> 'revoked' AND created_at <= $3
    ORDER BY device_id LIMIT $4";
const DEVICES_OF_CA: &str = "
    SELECT count(*) AS devices FROM issued_certificates c
    JOIN devices d ON d.tenant_id = c.tenant_id AND d.device_id = c.device_id
                      AND d.active_serial = c.serial
    WHERE c.ca_fingerprint = $1";
const NEXT_OF_CA: &str = "
    SELECT c.tenant_id, c.device_id FROM issued_certificates c
    JOIN devices d ON d.tenant_id = c.tenant_id AND d.device_id = c.device_id
                      AND d.active_serial = c.serial
    WHERE c.ca_fingerprint = $1 AND (c.tenant_id, c.device_id) > ($2, $3)
    ORDER BY c.tenant_id, c.device_id LIMIT $4";

/// A job, and the last device that it dealt with.
struct JobRow {
    job: Job,
    behind_tenant: String,
    behind_device: String,
}

impl JobRow {
    fn go_behind(&mut self, device: &DeviceIdentity) {
        self.behind_tenant = device.tenant_id().to_string();
        self.behind_device = device.device_id().to_string();
    }
}

fn owner(tenant_id: Option<&TenantId>) -> &str {
    tenant_id.map_or("", TenantId::as_str)
}

fn chosen(columns: Columns<'_>, action: DeviceAction) -> Result<JobWork> {
    Ok(JobWork::Devices {
        tenant_id: columns.parse("target")?,
        action,
    })
}

fn tags(work: &JobWork) -> Result<Option<String>> {
    match work {
        JobWork::Devices { action, .. } => match action {
            DeviceAction::Tag(tags) => json(tags).map(Some),
            DeviceAction::Untag(keys) => json(keys).map(Some),
            DeviceAction::Revoke => Ok(None),
        },
        JobWork::RevokeTenant { .. } | JobWork::RevokeCa { .. } => Ok(None),
    }
}

/// Who asked: an operator or a client, told apart by what their ids begin with.
fn asked_by(columns: Columns<'_>) -> Result<Actor> {
    let id: &str = columns.get("asked_by")?;
    match id.parse() {
        Ok(client_id) => Ok(Actor::Client(client_id)),
        Err(_) => columns.parse("asked_by").map(Actor::Operator),
    }
}

fn read(row: &Row) -> Result<JobRow> {
    let columns = Columns::of(row, "jobs");
    let work = match columns.get::<&str>("kind")? {
        "revoke_tenant" => JobWork::RevokeTenant {
            tenant_id: columns.parse("target")?,
            reason: columns.get("reason")?,
        },
        "revoke_ca" => JobWork::RevokeCa {
            ca: columns.parse("target")?,
        },
        "revoke_devices" => chosen(columns, DeviceAction::Revoke)?,
        "tag_devices" => chosen(columns, DeviceAction::Tag(columns.json("tags")?))?,
        "untag_devices" => chosen(columns, DeviceAction::Untag(columns.json("tags")?))?,
        _ => return Err(columns.corrupt("kind")),
    };
    let owner: &str = columns.get("tenant_id")?;
    let tenant_id = (!owner.is_empty()).then(|| columns.parse("tenant_id"));
    Ok(JobRow {
        job: Job {
            job_id: columns.parse("job_id")?,
            tenant_id: tenant_id.transpose()?,
            work,
            status: columns.word("status")?,
            total: columns.number("total")?,
            done: columns.number("done")?,
            failed: columns.number("failed")?,
            asked_by: asked_by(columns)?,
            request_id: columns.get("request_id")?,
            created_at: columns.time("created_at")?,
            ended_at: columns.time_option("ended_at")?,
        },
        behind_tenant: columns.get("behind_tenant")?,
        behind_device: columns.get("behind_device")?,
    })
}

fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

async fn create(tx: &mut ChangeTx<'_>, new: &NewJob) -> Step<Job> {
    if let Some(owner) = &new.tenant_id {
        tenants::must_find(tx.conn(), owner).await?;
    }
    match &new.work {
        JobWork::RevokeTenant { tenant_id, .. } => {
            tenants::must_find(tx.conn(), tenant_id).await?;
        }
        JobWork::RevokeCa { ca } => secrets::must_be_tainted(tx, *ca).await?,
        // Its owner's.
        JobWork::Devices { .. } => {}
    }
    let job = Job {
        job_id: new.job_id.clone(),
        tenant_id: new.tenant_id.clone(),
        work: new.work.clone(),
        status: JobStatus::Queued,
        total: new.total,
        done: 0,
        failed: 0,
        asked_by: new.asked_by.clone(),
        request_id: tx.change.request_id.clone(),
        created_at: tx.at(),
        ended_at: None,
    };
    query(INSERT)
        .bind(owner(job.tenant_id.as_ref()))
        .bind(job.job_id.as_str())
        .bind(job.work.kind())
        .bind(job.work.target())
        .bind(job.work.reason())
        .bind(word(&job.status)?)
        .bind(count(job.total))
        .bind(job.asked_by.id())
        .bind(&job.request_id)
        .bind(ms(job.created_at))
        .bind(tags(&job.work)?)
        .execute(tx.conn())
        .await
        .map_err(taken(Conflict::IdTaken))?;
    tx.post(&job.chain(), &job.created()).await?;
    Ok(job)
}

/// Queues a job for devices that are chosen with it.
async fn create_for(tx: &mut ChangeTx<'_>, new: &NewJob, devices: &DeviceSelection) -> Step<Job> {
    let mut job = create(tx, new).await?;
    let Some(tenant_id) = &job.tenant_id else {
        return Ok(job);
    };
    let (conn, job_id) = (tx.conn(), &job.job_id);
    job.total = match devices {
        DeviceSelection::Filter(filter) => {
            device_rows::choose(conn, tenant_id, (**filter).clone(), job_id).await?
        }
        DeviceSelection::Ids(ids) => {
            let mut chosen = 0;
            for id in ids {
                let choose = query(CHOOSE).bind(tenant_id.as_str()).bind(id.as_str());
                chosen += choose.bind(job_id.as_str()).execute(conn).await?;
            }
            chosen
        }
    };
    query(SET_TOTAL)
        .bind(tenant_id.as_str())
        .bind(job_id.as_str())
        .bind(count(job.total))
        .execute(conn)
        .await?;
    Ok(job)
}

/// The job, held until the end of the transaction.
async fn hold(tx: &mut ChangeTx<'_>, tenant_id: Option<&TenantId>, id: &JobId) -> Step<JobRow> {
    let row = query(LOCKED)
        .bind(owner(tenant_id))
        .bind(id.as_str())
        .fetch_optional(tx.conn())
        .await?;
    Ok(read(&row.ok_or(Entity::Job)?)?)
}

async fn update(tx: &mut ChangeTx<'_>, row: &JobRow) -> Step<()> {
    let job = &row.job;
    query(UPDATE)
        .bind(owner(job.tenant_id.as_ref()))
        .bind(job.job_id.as_str())
        .bind(word(&job.status)?)
        .bind(count(job.total))
        .bind(count(job.done))
        .bind(count(job.failed))
        .bind(&row.behind_tenant)
        .bind(&row.behind_device)
        .bind(job.ended_at.map(ms))
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The next devices of a job, which may be no longer meant when they are held.
async fn next(conn: &mut Connection, row: &JobRow, batch: u32) -> Step<Vec<DeviceIdentity>> {
    let (asked_at, ca);
    let next: Query<'_> = match &row.job.work {
        JobWork::RevokeTenant { tenant_id, .. } => {
            asked_at = ms(row.job.created_at);
            let next = query(NEXT_OF_TENANT).bind(tenant_id.as_str());
            next.bind(&row.behind_device).bind(asked_at)
        }
        JobWork::RevokeCa { ca: of } => {
            ca = of.as_bytes();
            let next = query(NEXT_OF_CA).bind(&ca[..]);
            next.bind(&row.behind_tenant).bind(&row.behind_device)
        }
        JobWork::Devices { tenant_id, .. } => {
            let next = query(NEXT_OF_JOB).bind(tenant_id.as_str());
            next.bind(row.job.job_id.as_str()).bind(&row.behind_device)
        }
    };
    let rows = next.bind(i64::from(batch)).fetch_all(conn).await?;
    let identities = rows
        .iter()
        .map(|row| Columns::of(row, "devices").identity());
    Ok(identities.collect::<Result<_>>()?)
}

/// Does a job's work to a device that is locked, and counts it; returns what was denied.
async fn deal_with(
    tx: &mut ChangeTx<'_>,
    job: &mut Job,
    device: &Device,
) -> Step<Vec<DeniedCertificate>> {
    let tagged = match &job.work {
        JobWork::Devices { action, .. } => action.tagged(&device.tags),
        JobWork::RevokeTenant { .. } | JobWork::RevokeCa { .. } => None,
    };
    let Some(tags) = tagged else {
        job.done += 1;
        return Ok(pairing::revoke(tx, &device.identity).await?.denied);
    };
    if let Some(failed) = job.too_many_tags(device, &tags) {
        job.failed += 1;
        tx.post(&job.chain(), &failed).await?;
        return Ok(Vec::new());
    }
    if tags != device.tags {
        let edit = DeviceEdit {
            tags: Some(tags),
            ..DeviceEdit::default()
        };
        devices::edit(tx, &device.identity, edit).await?;
    }
    job.done += 1;
    Ok(Vec::new())
}

async fn work_on(
    tx: &mut ChangeTx<'_>,
    tenant_id: Option<&TenantId>,
    job_id: &JobId,
    batch: u32,
) -> Step<JobProgress> {
    let at = tx.at();
    let mut row = hold(tx, tenant_id, job_id).await?;
    let mut denied = Vec::new();
    if row.job.status.has_ended() {
        let job = row.job;
        return Ok(JobProgress { job, denied });
    }
    let devices = next(tx.conn(), &row, batch).await?;
    row.job.status = JobStatus::Running;
    for identity in &devices {
        tx.lock_device(identity).await?;
        let device = device_rows::must_find(tx.conn(), identity, at).await?;
        if row.job.work.is_meant(&device, row.job.created_at) {
            denied.extend(deal_with(tx, &mut row.job, &device).await?);
        }
        row.go_behind(identity);
    }
    if u32::try_from(devices.len()).unwrap_or(u32::MAX) < batch {
        row.job.end(at);
        if let JobWork::RevokeCa { ca } = row.job.work {
            secrets::retire_after_revocation(tx, ca).await?;
        }
        let (chain, ended) = (row.job.chain(), row.job.ended());
        tx.post(&chain, &ended).await?;
    }
    update(tx, &row).await?;
    let job = row.job;
    Ok(JobProgress { job, denied })
}

async fn pass_over(
    tx: &mut ChangeTx<'_>,
    tenant_id: Option<&TenantId>,
    job_id: &JobId,
    why: &str,
) -> Step<Job> {
    let mut row = hold(tx, tenant_id, job_id).await?;
    if !row.job.status.has_ended()
        && let Some(device) = next(tx.conn(), &row, 1).await?.first()
    {
        row.job.status = JobStatus::Running;
        row.job.failed += 1;
        row.go_behind(device);
        update(tx, &row).await?;
        let failed = row.job.device_failed(device, why);
        tx.post(&row.job.chain(), &failed).await?;
    }
    Ok(row.job)
}

#[async_trait]
impl JobStore for SqlStore {
    async fn matched_devices(&self, work: &JobWork) -> Result<u64> {
        self.read("matched_devices", async |conn| {
            let ca;
            let devices = match work {
                JobWork::RevokeTenant { tenant_id, .. } => {
                    query(DEVICES_OF_TENANT).bind(tenant_id.as_str())
                }
                JobWork::RevokeCa { ca: of } => {
                    ca = of.as_bytes();
                    query(DEVICES_OF_CA).bind(&ca[..])
                }
                // What was chosen is known to its job alone.
                JobWork::Devices { .. } => return Ok(0),
            };
            let row = devices.fetch_one(conn).await?;
            Ok(Columns::of(&row, "devices").number("devices")?)
        })
        .await
    }

    async fn create_job(&self, change: Change, job: NewJob) -> Result<Job> {
        self.run_change("create_job", Isolation::ReadCommitted, change, move |tx| {
            Box::pin(async move { create(tx, &job).await })
        })
        .await
    }

    async fn selected_devices(
        &self,
        tenant_id: &TenantId,
        devices: DeviceSelection,
    ) -> Result<u64> {
        self.read("selected_devices", async |conn| match devices.clone() {
            DeviceSelection::Filter(filter) => device_rows::count(conn, tenant_id, *filter).await,
            DeviceSelection::Ids(ids) => {
                let mut count = 0;
                for id in ids {
                    let there = query(IS_THERE).bind(tenant_id.as_str()).bind(id.as_str());
                    count += u64::from(there.fetch_optional(conn).await?.is_some());
                }
                Ok(count)
            }
        })
        .await
    }

    async fn create_device_job(
        &self,
        change: Change,
        job: NewJob,
        devices: DeviceSelection,
    ) -> Result<Job> {
        self.run_change(
            "create_device_job",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(async move { create_for(tx, &job, &devices).await }),
        )
        .await
    }

    async fn job(&self, tenant_id: Option<&TenantId>, job_id: &JobId) -> Result<Option<Job>> {
        self.read("job", async |conn| {
            let row = query(ONE).bind(owner(tenant_id)).bind(job_id.as_str());
            let row = row.fetch_optional(conn).await?;
            Ok(row.as_ref().map(read).transpose()?.map(|row| row.job))
        })
        .await
    }

    async fn next_job(&self, behind: Option<&Job>) -> Result<Option<Job>> {
        self.read("next_job", async |conn| {
            let (at, id) = behind.map_or((i64::MIN, ""), |job| {
                (ms(job.created_at), job.job_id.as_str())
            });
            let row = query(NEXT).bind(at).bind(id).fetch_optional(conn).await?;
            Ok(row.as_ref().map(read).transpose()?.map(|row| row.job))
        })
        .await
    }

    async fn work_on_job(
        &self,
        change: Change,
        tenant_id: Option<&TenantId>,
        job_id: &JobId,
        batch: u32,
    ) -> Result<JobProgress> {
        let (tenant_id, job_id) = (tenant_id.cloned(), job_id.clone());
        self.run_change("work_on_job", Isolation::ReadCommitted, change, move |tx| {
            Box::pin(async move { work_on(tx, tenant_id.as_ref(), &job_id, batch).await })
        })
        .await
    }

    async fn pass_device_over(
        &self,
        change: Change,
        tenant_id: Option<&TenantId>,
        job_id: &JobId,
        why: &str,
    ) -> Result<Job> {
        let (tenant_id, job_id, why) = (tenant_id.cloned(), job_id.clone(), why.to_owned());
        self.run_change(
            "pass_device_over",
            Isolation::ReadCommitted,
            change,
            move |tx| {
                Box::pin(async move { pass_over(tx, tenant_id.as_ref(), &job_id, &why).await })
            },
        )
        .await
    }

    async fn purge_jobs(&self, before: OffsetDateTime) -> Result<u64> {
        self.purge("purge_jobs", PURGE, before).await
    }
}
