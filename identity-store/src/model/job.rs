use std::collections::{BTreeMap, BTreeSet};

use identity_pki::{DeviceId, DeviceIdentity, Fingerprint, TenantId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    Actor, Chain, DeniedCertificate, Device, DeviceFilter, DeviceStatus, Event, JobId,
    MAX_DEVICE_TAGS,
};

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
    /// Does something to devices that a tenant chose when it asked for it.
    Devices {
        /// The tenant.
        tenant_id: TenantId,
        /// What.
        action: DeviceAction,
    },
}

/// What a job does to each of its devices.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceAction {
    /// Revokes it.
    Revoke,
    /// Gives it these tags, in place of those of the same keys.
    Tag(BTreeMap<String, String>),
    /// Takes the tags with these keys from it.
    Untag(BTreeSet<String>),
}

impl DeviceAction {
    /// The tags that a device with these has afterwards; `None` when the action leaves tags alone.
    pub(crate) fn tagged(
        &self,
        tags: &BTreeMap<String, String>,
    ) -> Option<BTreeMap<String, String>> {
        let mut tags = tags.clone();
        match self {
            Self::Revoke => return None,
            Self::Tag(new) => tags.extend(new.clone()),
            Self::Untag(keys) => tags.retain(|key, _| !keys.contains(key)),
        }
        Some(tags)
    }
}

/// Which of a tenant's devices.
#[derive(Debug, Clone, PartialEq)]
pub enum DeviceSelection {
    /// Those of these ids that there are.
    Ids(BTreeSet<DeviceId>),
    /// Those of which a filter is true.
    Filter(Box<DeviceFilter>),
}

impl JobWork {
    /// What kind of work it is, as it is stored and shown.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RevokeTenant { .. } => "revoke_tenant",
            Self::RevokeCa { .. } => "revoke_ca",
            Self::Devices { action, .. } => match action {
                DeviceAction::Revoke => "revoke_devices",
                DeviceAction::Tag(_) => "tag_devices",
                DeviceAction::Untag(_) => "untag_devices",
            },
        }
    }

    /// What it is done to: the id of a tenant, or a CA's fingerprint.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            Self::RevokeTenant { tenant_id, .. } | Self::Devices { tenant_id, .. } => {
                tenant_id.to_string()
            }
            Self::RevokeCa { ca } => ca.to_string(),
        }
    }

    /// Why it is done, where somebody said it.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::RevokeTenant { reason, .. } => Some(reason),
            Self::RevokeCa { .. } | Self::Devices { .. } => None,
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
            Self::Devices { tenant_id, action } => {
                device.identity.tenant_id() == tenant_id
                    && (*action != DeviceAction::Revoke || device.status != DeviceStatus::Revoked)
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
    pub asked_by: Actor,
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
    pub asked_by: Actor,
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

    /// That it failed at a device, if that is not to have so many tags.
    pub(crate) fn too_many_tags(
        &self,
        device: &Device,
        tags: &BTreeMap<String, String>,
    ) -> Option<Event> {
        let why = format!("a device has at most {MAX_DEVICE_TAGS} tags");
        let is_too_many = tags.len() > MAX_DEVICE_TAGS;
        is_too_many.then(|| self.device_failed(&device.identity, &why))
    }

    pub(crate) fn end(&mut self, at: OffsetDateTime) {
        self.status = JobStatus::at_the_end(self.done, self.failed);
        self.total = self.done + self.failed;
        self.ended_at = Some(at);
    }

    /// That it has ended.
    pub(crate) fn ended(&self) -> Event {
        let (tenant_id, ca_fingerprint) = match &self.work {
            JobWork::Devices { tenant_id, action } if *action == DeviceAction::Revoke => {
                (Some(tenant_id.clone()), None)
            }
            JobWork::Devices { .. } => {
                return Event::JobEnded {
                    job_id: self.job_id.clone(),
                    kind: self.work.kind(),
                    count: self.done,
                    failed: self.failed,
                };
            }
            JobWork::RevokeTenant { tenant_id, .. } => (Some(tenant_id.clone()), None),
            JobWork::RevokeCa { ca } => (None, Some(*ca)),
        };
        Event::DeviceCertsBulkRevoked {
            job_id: self.job_id.clone(),
            tenant_id,
            ca_fingerprint,
            count: self.done,
            failed: self.failed,
            revoked_by: self.asked_by.id().to_owned(),
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
