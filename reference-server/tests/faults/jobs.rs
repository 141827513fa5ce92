//! Jobs that outlive their runners.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use identity_challenge::{DeviceBinding, DeviceClass};
use identity_pki::{DeviceId, DeviceIdentity, PairingCodeHash};
use identity_store::{
    Actor, Chain, Change, JobId, JobStatus, JobWork, NewDevice, NewJob, OperatorId, PairingOffer,
    Store,
};
use time::OffsetDateTime;

use crate::harness::Random;
use crate::invariants::Invariants;
use crate::kill::LEASES_END;
use crate::records::tenant;
use crate::stage::Stage;
use crate::template::Backend;
use crate::{rounds, seed};

/// So many devices are revoked, in a dozen batches.
const DEVICES: usize = 600;

/// The latest moment of a kill after a batch, in milliseconds.
const LATEST_MS: u64 = 300;

/// Between two looks at the job.
const LOOK: Duration = Duration::from_millis(20);

fn change() -> Change {
    Change::new(OffsetDateTime::UNIX_EPOCH, Actor::System("test"), "req")
}

/// Registers devices beside the servers.
async fn register(store: &dyn Store) {
    for number in 0..DEVICES {
        let device_id = DeviceId::new(format!("dev_{number:04}")).unwrap();
        let mut code = [7; 32];
        code[..8].copy_from_slice(&number.to_be_bytes());
        let device = NewDevice {
            identity: DeviceIdentity::new(tenant(), device_id),
            name: "One of many".to_owned(),
            location: None,
            binding: DeviceBinding::new(DeviceClass::PersonalScanner, None, None).unwrap(),
            tags: BTreeMap::new(),
            pairing: PairingOffer {
                code_hash: PairingCodeHash::from_bytes(code),
                expires_at: OffsetDateTime::UNIX_EPOCH,
            },
        };
        store.create_device(change(), device).await.unwrap();
    }
}

pub(crate) async fn a_job_whose_runners_are_killed_again_and_again_revokes_each_device_once() {
    let mut random = Random::seeded(seed());
    let mut stage = Stage::on(Backend::Postgres, 2).await;
    let store = stage.database.store().await;
    register(&*store).await;
    let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
    let work = JobWork::RevokeTenant {
        tenant_id: tenant(),
        reason: "a test".to_owned(),
    };
    let new = NewJob {
        job_id: JobId::generate(OffsetDateTime::UNIX_EPOCH, &mut rng),
        tenant_id: None,
        total: store.matched_devices(&work).await.unwrap(),
        work,
        asked_by: Actor::Operator(OperatorId::generate(OffsetDateTime::UNIX_EPOCH, &mut rng)),
    };
    let job_id = new.job_id.clone();
    store.create_job(change(), new).await.unwrap();
    let read = async || store.job(None, &job_id).await.unwrap().unwrap();
    let done = async || {
        let job = read().await;
        if job.status.has_ended() {
            None
        } else {
            Some(job.done)
        }
    };
    let mut kills = 0;
    while kills < rounds(4)
        && let Some(before) = done().await
    {
        // Whoever has the lease by now has begun.
        while done().await == Some(before) {
            tokio::time::sleep(LOOK).await;
        }
        tokio::time::sleep(Duration::from_millis(random.below(LATEST_MS))).await;
        stage.kill(kills % 2);
        stage.database.tamper(LEASES_END).await;
        stage.start(kills % 2);
        kills += 1;
    }
    while done().await.is_some() {
        tokio::time::sleep(LOOK).await;
    }
    assert!(kills > 0, "nobody was killed");
    let ended = read().await;
    let devices = u64::try_from(DEVICES).unwrap();
    assert_eq!((ended.status, ended.done), (JobStatus::Succeeded, devices));
    while store.seal_audit(1_000).await.unwrap().is_full(1_000) {}
    let chain = Chain::Tenant(tenant());
    let rows = store.sealed_audit(&chain, 0, u32::MAX).await.unwrap();
    let revoked = rows
        .iter()
        .filter(|sealed| sealed.row.action == "device_revoked");
    let subjects: BTreeSet<_> = revoked.clone().map(|sealed| &sealed.row.subject).collect();
    assert_eq!((revoked.count(), subjects.len()), (DEVICES, DEVICES));
    store.close().await;
    Invariants::check(&mut stage).await;
}
