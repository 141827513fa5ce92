//! Jobs that work through devices.

use std::collections::BTreeMap;
use std::sync::Arc;

use identity_pki::{Fingerprint, RotationRule, TenantId};
use tokio::task::JoinSet;

use super::fixtures::{World, at};
use super::witness::Told;
use crate::{
    Actor, CaState, Chain, Change, Conflict, DenialReason, Device, DeviceAction, DeviceEdit,
    DeviceFilter, DeviceSelection, DeviceStatus, Entity, Job, JobId, JobProgress, JobStatus,
    JobWork, MAX_DEVICE_TAGS, NewJob,
};

impl World {
    fn job_id(&self) -> JobId {
        self.id("job_")
    }

    fn new_job(&self, owner: Option<&TenantId>, work: &JobWork) -> NewJob {
        NewJob {
            job_id: self.job_id(),
            tenant_id: owner.cloned(),
            work: work.clone(),
            total: 7,
            asked_by: Actor::Operator(self.id("adm_")),
        }
    }

    /// A job of the platform that was asked for a second after the beginning.
    async fn job(&self, work: &JobWork) -> Job {
        let new = self.new_job(None, work);
        let created = self.store.create_job(self.change_at(1), new).await;
        created.unwrap()
    }

    async fn again_job(&self, job: &Job) -> Job {
        let read = self.store.job(job.tenant_id.as_ref(), &job.job_id).await;
        read.unwrap().unwrap()
    }

    async fn matched(&self, work: &JobWork) -> u64 {
        self.store.matched_devices(work).await.unwrap()
    }

    /// Does a piece of a job, which has to tell exactly this.
    async fn works(&self, job: &Job, batch: u32, told: Told) -> JobProgress {
        let change = Change::new(at(2), job.asked_by.clone(), &*job.request_id);
        let (owner, id) = (job.tenant_id.as_ref(), &job.job_id);
        let progress = self
            .commits(change, told, async |change| {
                self.store.work_on_job(change, owner, id, batch).await
            })
            .await;
        assert_eq!(self.again_job(job).await, progress.job);
        progress
    }

    async fn status(&self, device: &Device) -> DeviceStatus {
        self.device(&device.identity).await.status
    }
}

fn of_tenant(tenant_id: &TenantId) -> JobWork {
    JobWork::RevokeTenant {
        tenant_id: tenant_id.clone(),
        reason: "They left us".to_owned(),
    }
}

fn revoked(devices: usize) -> Told {
    Told::tenant(
        &vec!["device_revoked"; devices],
        &vec!["device.revoked"; devices],
    )
}

const ENDED: &[&str] = &["device_certs_bulk_revoked"];

pub async fn a_job_revokes_the_devices_that_a_tenant_had(world: World) {
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let gone = world.paired_device(&acme).await;
    let revoke = world.store.revoke_device(world.change(), &gone.identity);
    revoke.await.unwrap();
    let paired = [
        world.paired_device(&acme).await,
        world.paired_device(&acme).await,
    ];
    let (waiting, _) = world.pending_device(&acme).await;
    let others = world.paired_device(&other).await;
    let work = of_tenant(&acme);
    assert_eq!(world.matched(&work).await, 3);
    let told = Told::platform(&["job_created"]);
    let new = world.new_job(None, &work);
    let job = world
        .commits(world.change_at(1), told, async |change| {
            world.store.create_job(change, new.clone()).await
        })
        .await;
    assert_eq!((&job.job_id, &job.asked_by), (&new.job_id, &new.asked_by));
    assert_eq!((&job.work, job.tenant_id.as_ref()), (&work, None));
    assert_eq!((job.status, job.created_at), (JobStatus::Queued, at(1)));
    assert_eq!((job.total, job.done, job.failed), (7, 0, 0));
    let late = world.new_device(&acme, "Later");
    let late = world.store.create_device(world.change_at(2), late).await;

    let first = world.works(&job, 2, revoked(2)).await;
    assert_eq!((first.job.status, first.job.done), (JobStatus::Running, 2));
    assert_eq!((first.job.total, first.job.ended_at), (7, None));
    assert!(
        first
            .denied
            .iter()
            .all(|row| row.reason == DenialReason::Revoked)
    );
    let last = world.works(&job, 2, revoked(1).and_platform(ENDED)).await;
    assert_eq!((last.job.status, last.job.done), (JobStatus::Succeeded, 3));
    assert_eq!((last.job.total, last.job.ended_at), (3, Some(at(2))));
    assert_eq!(
        first.denied.len() + last.denied.len(),
        2,
        "one was not paired yet"
    );
    for device in &paired {
        let now = world.device(&device.identity).await;
        assert_eq!(now.status, DeviceStatus::Revoked);
        assert_eq!(now.revoked_by.as_deref(), Some(job.asked_by.id()));
    }
    assert_eq!(world.device(&waiting).await.status, DeviceStatus::Revoked);
    assert_eq!(world.status(&others).await, DeviceStatus::Paired);
    assert_ne!(world.status(&late.unwrap()).await, DeviceStatus::Revoked);
    let again = world.works(&job, 2, Told::nothing()).await;
    assert_eq!((again.job, again.denied.len()), (last.job, 0));
    assert_eq!(world.store.next_job(None).await.unwrap(), None);

    let told = world.audit(&Chain::Platform).await.pop().unwrap();
    let expected = serde_json::json!({
        "job_id": job.job_id, "tenant_id": "acme", "ca_fingerprint": null, "count": 3, "failed": 0,
        "revoked_by": job.asked_by.id(),
    });
    assert_eq!(told.metadata, expected);
}

pub async fn a_device_that_was_revoked_meanwhile_is_not_counted(world: World) {
    let acme = world.tenant("acme").await;
    let device = world.paired_device(&acme).await;
    let job = world.job(&of_tenant(&acme)).await;
    let revoke = world
        .store
        .revoke_device(world.change_at(2), &device.identity);
    revoke.await.unwrap();
    let told = Told::nothing().and_platform(ENDED);
    let progress = world.works(&job, 5, told).await;
    assert_eq!(
        (progress.job.status, progress.job.done),
        (JobStatus::Succeeded, 0)
    );
}

pub async fn a_job_revokes_the_devices_of_a_tainted_ca_and_retires_it(world: World) {
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let old = world.added_ca(1, CaState::Active).await;
    let stay = [
        world.paired_under(&acme, old).await,
        world.paired_under(&other, old).await,
    ];
    let moves = world.paired_under(&acme, old).await;
    let moves_late = world.paired_under(&other, old).await;
    let new = world.ca(2, CaState::Active);
    let next = new.fingerprint;
    let work = JobWork::RevokeCa { ca: old };
    let state = CaState::Active;
    let refused =
        |fingerprint, state| Conflict::from(RotationRule::RevokeDevices { fingerprint, state });
    let create = async |change| {
        world
            .store
            .create_job(change, world.new_job(None, &work))
            .await
    };
    world
        .conflicts(world.change(), refused(old, state), create)
        .await;
    let regenerate = world
        .store
        .regenerate_ca(world.change(), &old, new, world.key());
    regenerate.await.unwrap();
    world.renewed_under(&moves, next).await;
    assert_eq!(world.matched(&work).await, 3);
    let job = world.job(&work).await;
    let moved_late = world.renewed_under(&moves_late, next).await;

    let first = world.works(&job, 1, revoked(1)).await;
    assert_eq!(first.job.done, 1);
    let retired = &["platform_ca_retired", "device_certs_bulk_revoked"];
    let last = world.works(&job, 9, revoked(1).and_platform(retired)).await;
    assert_eq!((last.job.status, last.job.done), (JobStatus::Succeeded, 2));
    for device in &stay {
        assert_eq!(world.status(device).await, DeviceStatus::Revoked);
    }
    for device in [&moves, &moved_late] {
        assert_eq!(world.status(device).await, DeviceStatus::Paired);
    }
    let states = world.ca_states().await;
    assert_eq!(states, [(next, CaState::Active), (old, CaState::Retired)]);
    let told = world.audit(&Chain::Platform).await.pop().unwrap();
    assert_eq!(told.metadata["ca_fingerprint"], old.to_string());
    world
        .conflicts(world.change(), refused(old, CaState::Retired), create)
        .await;
    let fingerprint = Fingerprint::from_bytes(world.digest());
    let unknown = JobWork::RevokeCa { ca: fingerprint };
    let rule = RotationRule::Unknown { fingerprint };
    world
        .conflicts(world.change(), rule.into(), async |change| {
            let new = world.new_job(None, &unknown);
            world.store.create_job(change, new).await
        })
        .await;
}

pub async fn a_ca_that_was_retired_before_its_job_ends_stays_so(world: World) {
    let acme = world.tenant("acme").await;
    let old = world.added_ca(1, CaState::Active).await;
    world.paired_under(&acme, old).await;
    let new = world.ca(2, CaState::Active);
    let regenerate = world
        .store
        .regenerate_ca(world.change(), &old, new, world.key());
    regenerate.await.unwrap();
    let job = world.job(&JobWork::RevokeCa { ca: old }).await;
    let retire = world.store.retire_ca(world.change(), &old, true);
    retire.await.unwrap();
    let progress = world.works(&job, 2, revoked(1).and_platform(ENDED)).await;
    assert_eq!(progress.job.status, JobStatus::Succeeded);
}

pub async fn a_device_that_is_passed_over_counts_as_failed(world: World) {
    let acme = world.tenant("acme").await;
    for (devices, passed, status) in [
        (2, 1, JobStatus::PartiallyFailed),
        (1, 1, JobStatus::Failed),
        (0, 0, JobStatus::Succeeded),
    ] {
        for _ in 0..devices {
            world.paired_device(&acme).await;
        }
        let job = world.job(&of_tenant(&acme)).await;
        // A second time there is a device left, or none.
        for turn in 1..=passed {
            let told = Told::platform(&["job_device_failed"]);
            let over = world
                .commits(world.change_at(2), told, async |change| {
                    world
                        .store
                        .pass_device_over(change, None, &job.job_id, "its row is damaged")
                        .await
                })
                .await;
            assert_eq!((over.failed, over.status), (turn, JobStatus::Running));
            assert_eq!(world.again_job(&job).await, over);
            let told = world.audit(&Chain::Platform).await.pop().unwrap();
            assert_eq!(
                (told.subject.as_str(), &told.metadata["tenant_id"]),
                (job.job_id.as_str(), &"acme".into())
            );
            assert_eq!(told.metadata["reason"], "its row is damaged");
        }
        let left = devices - usize::try_from(passed).unwrap();
        let told = revoked(left).and_platform(ENDED);
        let ended = world.works(&job, 5, told).await.job;
        assert_eq!((ended.status, ended.failed), (status, passed));
        let over = world
            .commits(world.change_at(2), Told::nothing(), async |change| {
                world
                    .store
                    .pass_device_over(change, None, &job.job_id, "late")
                    .await
            })
            .await;
        assert_eq!(over, ended);
        // What was passed over is as it was.
        let rest = world.job(&of_tenant(&acme)).await;
        let left = usize::try_from(passed).unwrap();
        world
            .works(&rest, 5, revoked(left).and_platform(ENDED))
            .await;
    }
}

pub async fn a_job_is_its_owners_and_jobs_wait_in_their_order(world: World) {
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let work = of_tenant(&acme);
    let new = world.new_job(Some(&acme), &work);
    let told = Told::tenant(&["job_created"], &[]);
    let own = world
        .commits(world.change_at(1), told, async |change| {
            world.store.create_job(change, new.clone()).await
        })
        .await;
    assert_eq!(own.tenant_id, Some(acme.clone()));
    let platforms = world.job(&work).await;
    for (owner, job, is_seen) in [
        (Some(&acme), &own, true),
        (Some(&other), &own, false),
        (None, &own, false),
        (None, &platforms, true),
        (Some(&acme), &platforms, false),
    ] {
        let read = world.store.job(owner, &job.job_id).await.unwrap();
        assert_eq!(read.as_ref(), is_seen.then_some(job), "{owner:?}");
        if !is_seen {
            world
                .misses(world.change(), Entity::Job, async |change| {
                    world.store.work_on_job(change, owner, &job.job_id, 1).await
                })
                .await;
            world
                .misses(world.change(), Entity::Job, async |change| {
                    world
                        .store
                        .pass_device_over(change, owner, &job.job_id, "why")
                        .await
                })
                .await;
        }
    }
    let next = async |behind| world.store.next_job(behind).await.unwrap();
    assert_eq!(next(Some(&own)).await.as_ref(), Some(&platforms));
    assert_eq!(next(Some(&platforms)).await, None);
    for (job, told) in [
        (&own, Told::tenant(ENDED, &[])),
        (&platforms, Told::platform(ENDED)),
    ] {
        assert_eq!(next(None).await.as_ref(), Some(job));
        world.works(job, 1, told).await;
    }
    assert_eq!(world.store.next_job(None).await.unwrap(), None);
    let nobodys: TenantId = "nobody".parse().unwrap();
    for new in [
        world.new_job(None, &of_tenant(&nobodys)),
        world.new_job(Some(&nobodys), &work),
    ] {
        world
            .misses(world.change(), Entity::Tenant, async |change| {
                world.store.create_job(change, new).await
            })
            .await;
    }
    let taken = NewJob {
        job_id: platforms.job_id,
        ..world.new_job(None, &work)
    };
    world
        .conflicts(world.change(), Conflict::IdTaken, async |change| {
            world.store.create_job(change, taken).await
        })
        .await;
}

pub async fn jobs_that_ended_before_a_time_are_purged(world: World) {
    let acme = world.tenant("acme").await;
    let (ended, waits) = (
        world.job(&of_tenant(&acme)).await,
        world.job(&of_tenant(&acme)).await,
    );
    world
        .works(&ended, 1, Told::nothing().and_platform(ENDED))
        .await;
    for (before, purged) in [(2, 0), (3, 1), (3, 0)] {
        let trail = world.trail().await;
        let count = world.store.purge_jobs(at(before)).await.unwrap();
        assert_eq!(count, purged, "it ended at 2, they go before {before}");
        assert_eq!(world.trail().await, trail);
        let left = world.store.job(None, &ended.job_id).await.unwrap();
        assert_eq!(left.is_some(), before == 2);
    }
    assert_eq!(world.again_job(&waits).await, waits);
}

pub async fn of_two_runners_at_once_each_device_is_revoked_by_one(world: World) {
    let acme = world.tenant("acme").await;
    for _ in 0..12 {
        world.paired_device(&acme).await;
    }
    let job = world.job(&of_tenant(&acme)).await;
    let mut runners = JoinSet::new();
    for _ in 0..3 {
        let (store, id, change) = (Arc::clone(&world.store), job.job_id.clone(), world.change());
        runners.spawn(async move {
            let mut denied = 0;
            loop {
                let progress = store.work_on_job(change.clone(), None, &id, 2).await;
                let progress = progress.unwrap();
                denied += progress.denied.len();
                if progress.job.status.has_ended() {
                    return denied;
                }
            }
        });
    }
    assert_eq!(runners.join_all().await.iter().sum::<usize>(), 12);
    let ended = world.again_job(&job).await;
    assert_eq!((ended.status, ended.done), (JobStatus::Succeeded, 12));
    let rows = world.audit(&Chain::Tenant(acme)).await;
    let told = rows.iter().filter(|row| row.action == "device_revoked");
    assert_eq!(told.count(), 12);
}

/// A job of the tenant's for devices of its choice.
fn to_devices(tenant_id: &TenantId, action: DeviceAction) -> JobWork {
    JobWork::Devices {
        tenant_id: tenant_id.clone(),
        action,
    }
}

impl World {
    /// A job of a tenant's for devices, which a client asked for.
    async fn device_job(
        &self,
        tenant_id: &TenantId,
        action: DeviceAction,
        devices: DeviceSelection,
    ) -> Job {
        let selected = self.store.selected_devices(tenant_id, devices.clone());
        let selected = selected.await.unwrap();
        let new = NewJob {
            asked_by: Actor::Client(self.id("cli_")),
            ..self.new_job(Some(tenant_id), &to_devices(tenant_id, action))
        };
        let told = Told::tenant(&["job_created"], &[]);
        let job = self
            .commits(self.change_at(1), told, async |change| {
                let (new, devices) = (new.clone(), devices.clone());
                self.store.create_device_job(change, new, devices).await
            })
            .await;
        assert_eq!((&job.work, &job.asked_by), (&new.work, &new.asked_by));
        assert_eq!(job.total, selected);
        assert_eq!(self.again_job(&job).await, job);
        job
    }

    async fn tags(&self, device: &Device) -> BTreeMap<String, String> {
        self.device(&device.identity).await.tags
    }
}

fn ids(devices: &[&Device]) -> DeviceSelection {
    let ids = devices.iter().map(|it| it.identity.device_id().clone());
    DeviceSelection::Ids(ids.collect())
}

fn tags(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    let of = of
        .iter()
        .map(|(key, value)| (key.to_string(), value.to_string()));
    of.collect()
}

pub async fn a_job_revokes_the_devices_that_were_chosen_when_it_was_asked_for(world: World) {
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let [one, two, three] = [(); 3].map(|()| world.paired_device(&acme));
    let (one, two, three) = (one.await, two.await, three.await);
    let others = world.paired_device(&other).await;
    let chosen = ids(&[&one, &two, &others]);
    let job = world.device_job(&acme, DeviceAction::Revoke, chosen).await;
    assert_eq!(job.total, 2, "another tenant's is none of them");
    let first = world.works(&job, 1, revoked(1)).await;
    assert_eq!((first.job.status, first.job.done), (JobStatus::Running, 1));
    let ended = Told::tenant(
        &["device_revoked", "device_certs_bulk_revoked"],
        &["device.revoked"],
    );
    let last = world.works(&job, 2, ended).await;
    assert_eq!((last.job.status, last.job.done), (JobStatus::Succeeded, 2));
    for (device, status) in [
        (&one, DeviceStatus::Revoked),
        (&two, DeviceStatus::Revoked),
        (&three, DeviceStatus::Paired),
        (&others, DeviceStatus::Paired),
    ] {
        assert_eq!(world.status(device).await, status);
    }
    let revoked_by = world.device(&one.identity).await.revoked_by;
    assert_eq!(revoked_by.as_deref(), Some(job.asked_by.id()));

    let paired = DeviceFilter {
        status: Some(DeviceStatus::Paired),
        ..DeviceFilter::all(at(2))
    };
    let paired = DeviceSelection::Filter(Box::new(paired));
    let job = world.device_job(&acme, DeviceAction::Revoke, paired).await;
    assert_eq!(job.total, 1);
    let late = world.paired_device(&acme).await;
    let ended = Told::tenant(
        &["device_revoked", "device_certs_bulk_revoked"],
        &["device.revoked"],
    );
    world.works(&job, 9, ended).await;
    assert_eq!(world.status(&three).await, DeviceStatus::Revoked);
    assert_eq!(world.status(&late).await, DeviceStatus::Paired);
}

pub async fn a_job_tags_devices_and_fails_at_one_that_would_have_too_many(world: World) {
    let acme = world.tenant("acme").await;
    let (one, full) = (
        world.paired_device(&acme).await,
        world.paired_device(&acme).await,
    );
    let many = (0..MAX_DEVICE_TAGS).map(|n| (format!("key{n}"), String::new()));
    let many: BTreeMap<_, _> = many.collect();
    let edit = DeviceEdit {
        tags: Some(many.clone()),
        ..DeviceEdit::default()
    };
    let filled = world
        .store
        .update_device(world.change(), &full.identity, edit);
    filled.await.unwrap();
    let before = world.tags(&one).await;

    let tag = DeviceAction::Tag(tags(&[("site", "Bern")]));
    let job = world
        .device_job(&acme, tag.clone(), ids(&[&one, &full]))
        .await;
    let mut told = ["device_updated", "job_device_failed", "job_ended"];
    if full.identity < one.identity {
        told.swap(0, 1);
    }
    let told = Told::tenant(&told, &["device.updated"]);
    let ended = world.works(&job, 9, told).await.job;
    assert_eq!(
        (ended.status, ended.done, ended.failed),
        (JobStatus::PartiallyFailed, 1, 1)
    );
    let mut with_site = before.clone();
    with_site.extend(tags(&[("site", "Bern")]));
    assert_eq!(world.tags(&one).await, with_site);
    assert_eq!(world.tags(&full).await, many);

    // What changes nothing tells nothing.
    let job = world.device_job(&acme, tag, ids(&[&one])).await;
    let ended = world
        .works(&job, 9, Told::tenant(&["job_ended"], &[]))
        .await
        .job;
    assert_eq!((ended.status, ended.done), (JobStatus::Succeeded, 1));

    let untag = DeviceAction::Untag(["site".to_owned(), "none".to_owned()].into());
    let job = world.device_job(&acme, untag, ids(&[&one])).await;
    let told = Told::tenant(&["device_updated", "job_ended"], &["device.updated"]);
    world.works(&job, 9, told).await;
    assert_eq!(world.tags(&one).await, before);
}
