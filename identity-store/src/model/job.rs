use identity_pki::{DeviceIdentity, Fingerprint, TenantId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{Chain, DeniedCertificate, Device, DeviceStatus, Event, JobId, OperatorId};

/// What a job does, device by device.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobWork {
    /// Revokes every device that a tenant had when it was asked for.
    RevokeTenant {
        /// The tenant.
        tenant_id: TenantId,
        /// Why, in the words of whoever asked for it.
        reason: String,
    },
    /// Revokes every device, of all tenants, whose certificate is of a tainted CA, and retires the CA in the
    /// end.
    RevokeCa {
        /// The CA.
        ca: Fingerprint,
    },
}

impl JobWork {
    /// What kind of work it is, as it is stored and shown.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RevokeTenant { .. } => "revoke_tenant",
            Self::RevokeCa { .. } => "revoke_ca",
        }
    }

    /// What it is done to: the id of a tenant, or a CA's fingerprint.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            Self::RevokeTenant { tenant_id, .. } => tenant_id.to_string(),
            Self::RevokeCa { ca } => ca.to_string(),
        }
    }

    /// Why it is done, where somebody said it.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::RevokeTenant { reason, .. } => Some(reason),
            Self::RevokeCa { .. } => None,
        }
    }

    /// Whether work that was asked for at `asked_at` is to be done to a device as it is now.
    #[must_use]
    pub(crate) fn is_meant(&self, device: &Device, asked_at: OffsetDateTime) -> bool {
        match self {
            Self::RevokeTenant { tenant_id, .. } => {
                device.identity.tenant_id() == tenant_id
                    && device.status != DeviceStatus::Revoked
                    && device.created_at <= asked_at
            }
            Self::RevokeCa { ca } => {
                let active = device.certificate.as_ref();
                active.is_some_and(|certificate| certificate.ca_fingerprint == *ca)
            }
        }
    }
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Nobody has begun it.
    Queued,
    /// It is being done.
    Running,
    /// All of it was done.
    Succeeded,
    /// It has ended, and some of it could not be done.
    PartiallyFailed,
    /// It has ended, and nothing could be done.
    Failed,
}

impl JobStatus {
    /// Whether there is nothing left to do.
    #[must_use]
    pub fn has_ended(self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Succeeded | Self::PartiallyFailed | Self::Failed => true,
        }
    }

    /// How a job ends that did and failed at so much.
    #[must_use]
    pub(crate) fn at_the_end(done: u64, failed: u64) -> Self {
        match (done, failed) {
            (_, 0) => Self::Succeeded,
            (0, _) => Self::Failed,
            _ => Self::PartiallyFailed,
        }
    }
}

/// A job to queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// Its id.
    pub job_id: JobId,
    /// Whose job it is: a tenant's, or the platform's.
    pub tenant_id: Option<TenantId>,
    /// What it does.
    pub work: JobWork,
    /// How many devices it found when it was asked for.
    pub total: u64,
    /// Who asked for it.
    pub asked_by: OperatorId,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub job_id: JobId,
    /// Whose job it is: a tenant's, or the platform's.
    pub tenant_id: Option<TenantId>,
    /// What it does.
    pub work: JobWork,
    /// How far it is.
    pub status: JobStatus,
    /// How many devices it found when it was asked for; how many it dealt with once it has ended.
    pub total: u64,
    /// How many it is done with.
    pub done: u64,
    /// How many it failed at.
    pub failed: u64,
    /// Who asked for it.
    pub asked_by: OperatorId,
    /// The request that asked for it.
    pub request_id: String,
    /// When it was asked for.
    pub created_at: OffsetDateTime,
    /// When it ended.
    pub ended_at: Option<OffsetDateTime>,
}

impl Job {
    /// Where what its owner did is told.
    pub(crate) fn chain(&self) -> Chain {
        let tenant = self.tenant_id.clone();
        tenant.map_or(Chain::Platform, Chain::Tenant)
    }

    pub(crate) fn created(&self) -> Event {
        Event::JobCreated {
            job_id: self.job_id.clone(),
            kind: self.work.kind(),
            target: self.work.target(),
            matched: self.total,
        }
    }

    /// That it went on behind a device.
    pub(crate) fn device_failed(&self, device: &DeviceIdentity, why: &str) -> Event {
        Event::JobDeviceFailed {
            job_id: self.job_id.clone(),
            device: device.clone(),
            reason: why.to_owned(),
        }
    }

    pub(crate) fn end(&mut self, at: OffsetDateTime) {
        self.status = JobStatus::at_the_end(self.done, self.failed);
        self.total = self.done + self.failed;
        self.ended_at = Some(at);
    }

    /// That it has ended.
    pub(crate) fn revoked(&self, revoked_by: &str) -> Event {
        let (tenant_id, ca_fingerprint) = match &self.work {
            JobWork::RevokeTenant { tenant_id, .. } => (Some(tenant_id.clone()), None),
            JobWork::RevokeCa { ca } => (None, Some(*ca)),
        };
        Event::DeviceCertsBulkRevoked {
            job_id: self.job_id.clone(),
            tenant_id,
            ca_fingerprint,
            count: self.done,
            failed: self.failed,
            revoked_by: revoked_by.to_owned(),
        }
    }
}

/// What a batch of a job came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobProgress {
    /// The job behind it.
    pub job: Job,
    /// The certificates that were denied.
    pub denied: Vec<DeniedCertificate>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_ends_as_what_was_done_and_failed_says() {
        for (done, failed, status) in [
            (0, 0, JobStatus::Succeeded),
            (3, 0, JobStatus::Succeeded),
            (3, 1, JobStatus::PartiallyFailed),
            (0, 1, JobStatus::Failed),
        ] {
            assert_eq!(JobStatus::at_the_end(done, failed), status);
            assert!(status.has_ended());
        }
        assert!(!JobStatus::Queued.has_ended() && !JobStatus::Running.has_ended());
    }
}
