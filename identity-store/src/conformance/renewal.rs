use std::collections::HashSet;
use std::sync::Arc;

use identity_pki::Fingerprint;
use time::Duration;
use tokio::task::JoinSet;

use super::fixtures::{ENROLL_LEFT, VALIDITY, World, at};
use super::witness::Told;
use crate::{
    CertificateRecord, Conflict, DenialCursor, DenialReason, DeniedCertificate, Device,
    DeviceStatus, IssuancePurpose, PURGE_MARGIN, RenewDevice,
};

impl World {
    fn renewal(&self, device: &Device) -> RenewDevice {
        RenewDevice {
            presented: device.certificate.as_ref().unwrap().tbs_sha256,
            certificate: self.certificate(&device.identity),
        }
    }

    async fn denials(&self) -> Vec<DeniedCertificate> {
        self.store.denials(0, u32::MAX).await.unwrap()
    }
}

pub async fn a_renewal_replaces_the_certificate_and_denies_the_old(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let old = device.certificate.clone().unwrap();
    let renewal = world.renewal(&device);
    let told = Told::tenant(&["cert_renewed"], &["device.renewed"]);
    let change = world.change_at(77);
    let (by, request_id) = (change.actor.id().to_owned(), change.request_id.clone());
    let renewed = world
        .commits(change, told, async |change| {
            world.store.renew_device(change, renewal.clone()).await
        })
        .await;
    let expected = Device {
        certificate: Some(renewal.certificate.clone()),
        ..device.clone()
    };
    assert_eq!(renewed.device, expected);
    assert_eq!(world.device(&device.identity).await, expected);
    let denied = DeniedCertificate {
        sequence: renewed.denied[0].sequence,
        tbs_sha256: old.tbs_sha256,
        fingerprint: old.fingerprint,
        serial: old.serial,
        ca_fingerprint: old.ca_fingerprint,
        identity: device.identity.clone(),
        reason: DenialReason::Renewed,
        revoked_at: at(77),
        revoked_by: by,
        not_after: old.not_after,
    };
    assert_eq!(renewed.denied, std::slice::from_ref(&denied));
    let found = world.store.denial(&old.tbs_sha256).await.unwrap();
    assert_eq!(found.as_ref(), Some(&denied));
    let active = &renewal.certificate.tbs_sha256;
    assert_eq!(world.store.denial(active).await.unwrap(), None);
    assert_eq!(world.denials().await, [denied]);
    let issuance = world.store.issuance(&renewal.certificate.serial).await;
    let issuance = issuance.unwrap().unwrap();
    assert_eq!(issuance.purpose, IssuancePurpose::Renewal);
    assert_eq!(issuance.certificate, renewal.certificate);
    assert_eq!(issuance.request_id, request_id);
    assert_eq!(issuance.issued_at, at(77));
    let first = world.store.issuance(&old.serial).await.unwrap().unwrap();
    assert_eq!(first.purpose, IssuancePurpose::Pairing);
    let standing = world.store.device_standing(&device.identity, at(77)).await;
    assert_eq!(
        standing.unwrap().unwrap().active_tbs_sha256,
        Some(renewal.certificate.tbs_sha256)
    );
}

pub async fn a_cas_active_devices_are_counted(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    world.paired_device(&world.tenant("globex").await).await;
    world.pending_device(&tenant_id).await;
    let ca = device.certificate.as_ref().unwrap().ca_fingerprint;
    let new_ca = Fingerprint::from_bytes([0xcb; 32]);
    let count = async |ca, now| {
        let active = world.store.active_devices(at(now)).await.unwrap();
        active.get(&ca).copied().unwrap_or(0)
    };
    assert_eq!((count(ca, 0).await, count(new_ca, 0).await), (2, 0));
    assert_eq!(
        (count(ca, VALIDITY).await, count(ca, VALIDITY + 1).await),
        (2, 0)
    );
    let mut renewal = world.renewal(&device);
    renewal.certificate.ca_fingerprint = new_ca;
    let renewed = world.store.renew_device(world.change(), renewal).await;
    renewed.unwrap();
    assert_eq!((count(ca, 0).await, count(new_ca, 0).await), (1, 1));
    let revoked = world.store.revoke_device(world.change(), &device.identity);
    revoked.await.unwrap();
    assert_eq!((count(ca, 0).await, count(new_ca, 0).await), (1, 0));
}

pub async fn only_the_active_certificate_renews(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let stale = world.renewal(&device);
    let done = world
        .store
        .renew_device(world.change(), world.renewal(&device));
    let after = done.await.unwrap().device;
    let foreign = RenewDevice {
        presented: world
            .renewal(&world.paired_device(&tenant_id).await)
            .presented,
        ..stale.clone()
    };
    for renewal in [stale, foreign] {
        let conflict = Conflict::RenewalConflict;
        world
            .conflicts(world.change(), conflict, async |change| {
                world.store.renew_device(change, renewal).await
            })
            .await;
    }
    assert_eq!(world.device(&device.identity).await, after);
    assert_eq!(world.denials().await.len(), 1);
}

pub async fn a_device_that_is_not_paired_does_not_renew(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let renewal = world.renewal(&device);
    let revoked = world.store.revoke_device(world.change(), &device.identity);
    revoked.await.unwrap();
    let (pending, _) = world.pending_device(&tenant_id).await;
    let unpaired = RenewDevice {
        certificate: world.certificate(&pending),
        ..renewal.clone()
    };
    for renewal in [renewal, unpaired] {
        let conflict = Conflict::DeviceNotPaired;
        world
            .conflicts(world.change(), conflict, async |change| {
                world.store.renew_device(change, renewal).await
            })
            .await;
    }
}

pub async fn a_renewal_needs_a_new_key_and_a_new_number(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let other = world.paired_device(&tenant_id).await.certificate.unwrap();
    let own = device.certificate.clone().unwrap();
    for (spki_sha256, serial, conflict) in [
        (Some(own.spki_sha256), None, Conflict::KeyReused),
        (Some(other.spki_sha256), None, Conflict::KeyReused),
        (None, Some(other.serial), Conflict::IdTaken),
    ] {
        let mut renewal = world.renewal(&device);
        renewal.certificate = CertificateRecord {
            spki_sha256: spki_sha256.unwrap_or(renewal.certificate.spki_sha256),
            serial: serial.unwrap_or(renewal.certificate.serial),
            ..renewal.certificate
        };
        world
            .conflicts(world.change(), conflict, async |change| {
                world.store.renew_device(change, renewal).await
            })
            .await;
    }
    assert_eq!(world.device(&device.identity).await, device);
    assert_eq!(world.denials().await, []);
}

pub async fn of_parallel_renewals_one_wins(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let mut calls = JoinSet::new();
    for _ in 0..16 {
        let store = Arc::clone(&world.store);
        let (change, renewal) = (world.change(), world.renewal(&device));
        calls.spawn(async move { store.renew_device(change, renewal).await });
    }
    let mut winners = Vec::new();
    for renewed in calls.join_all().await {
        match renewed {
            Ok(renewed) => winners.push(renewed.device),
            Err(crate::Error::Conflict(Conflict::RenewalConflict)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(winners, [world.device(&device.identity).await]);
    assert_eq!(world.denials().await.len(), 1);
}

pub async fn of_devices_that_renew_with_one_key_at_once_one_has_it(world: World) {
    let tenant_id = world.tenant("acme").await;
    let mut renewals = Vec::new();
    for _ in 0..8 {
        let device = world.paired_device(&tenant_id).await;
        renewals.push((world.change(), world.renewal(&device)));
    }
    let key = renewals[0].1.certificate.spki_sha256;
    let mut calls = JoinSet::new();
    for (change, mut renewal) in renewals {
        renewal.certificate.spki_sha256 = key;
        let store = Arc::clone(&world.store);
        calls.spawn(async move { store.renew_device(change, renewal).await });
    }
    let mut winners = 0;
    for renewed in calls.join_all().await {
        match renewed {
            Ok(_) => winners += 1,
            Err(crate::Error::Conflict(Conflict::KeyReused)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(winners, 1);
    assert_eq!(world.denials().await.len(), 1);
}

pub async fn a_revocation_denies_the_certificate_and_ends_what_is_open(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let bystander = world.paired_device(&tenant_id).await;
    let user = world.consenting_user(&tenant_id, "ada").await;
    let first = world.open_at(1, &user, &device, ENROLL_LEFT).await;
    let second = world.open_at(2, &user, &device, ENROLL_LEFT).await;
    let elsewhere = world.open_at(1, &user, &bystander, ENROLL_LEFT).await;
    let renewed = world
        .store
        .renew_device(world.change(), world.renewal(&device))
        .await
        .unwrap();
    let active = renewed.device.certificate.unwrap();

    let told = Told::tenant(
        &["device_revoked", "challenge_canceled", "challenge_canceled"],
        &["device.revoked", "challenge.canceled", "challenge.canceled"],
    );
    let change = world.change_at(60);
    let by = change.actor.id().to_owned();
    let revocation = world
        .commits(change, told, async |change| {
            world.store.revoke_device(change, &device.identity).await
        })
        .await;
    assert_eq!(revocation.device.status, DeviceStatus::Revoked);
    assert_eq!(revocation.device.certificate, None);
    assert_eq!(revocation.device.revoked_at, Some(at(60)));
    assert_eq!(revocation.device.revoked_by, Some(by));
    assert_eq!(revocation.device, world.device(&device.identity).await);
    let [denied] = &revocation.denied[..] else {
        panic!("{:?}", revocation.denied);
    };
    assert_eq!(denied.tbs_sha256, active.tbs_sha256);
    assert_eq!(denied.reason, DenialReason::Revoked);
    assert_eq!(
        world.denials().await,
        [renewed.denied[0].clone(), denied.clone()]
    );
    for open in [first, second] {
        let ended = world.challenge(&open).await.challenge;
        assert_eq!(ended.status_reason().unwrap().as_str(), "device_revoked");
        assert_eq!(ended.completed_at(), Some(at(60)));
    }
    assert_eq!(world.challenge(&elsewhere).await, elsewhere);
    assert_eq!(world.device(&bystander.identity).await, bystander);

    let again = world
        .commits(world.change_at(61), Told::nothing(), async |change| {
            world.store.revoke_device(change, &device.identity).await
        })
        .await;
    assert_eq!(again.device, revocation.device);
    assert_eq!(again.denied, []);
}

pub async fn a_device_that_waits_is_revoked_too(world: World) {
    let tenant_id = world.tenant("acme").await;
    let (identity, code) = world.pending_device(&tenant_id).await;
    let told = Told::tenant(&["device_revoked"], &["device.revoked"]);
    let revocation = world
        .commits(world.change(), told, async |change| {
            world.store.revoke_device(change, &identity).await
        })
        .await;
    assert_eq!(revocation.denied, []);
    assert_eq!(revocation.device.status, DeviceStatus::Revoked);
    let candidate = world.store.pairing_candidate(&code, at(0)).await;
    assert_eq!(candidate.unwrap(), None);
}

pub async fn denials_are_read_on_from_where_a_reader_stopped(world: World) {
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let mut expected = Vec::new();
    for tenant_id in [&acme, &other, &acme] {
        let device = world.paired_device(tenant_id).await;
        let revoked = world.store.revoke_device(world.change(), &device.identity);
        expected.extend(revoked.await.unwrap().denied);
    }
    assert!(expected.is_sorted_by(|one, next| one.sequence < next.sequence));
    assert_eq!(world.denials().await, expected);
    let mut read = Vec::new();
    for _ in 0..4 {
        let after = read
            .last()
            .map_or(0, |denied: &DeniedCertificate| denied.sequence);
        read.extend(world.store.denials(after, 1).await.unwrap());
    }
    assert_eq!(read, expected);
    let beyond = world.store.denials(expected[1].sequence, 9).await.unwrap();
    assert_eq!(beyond, expected[2..]);
}

pub async fn the_feed_of_denials_misses_nothing(world: World) {
    let tenant_id = world.tenant("acme").await;
    let mut denied = HashSet::new();
    let (mut read, mut cursor) = (HashSet::new(), DenialCursor::default());
    for round in 0..3 {
        for _ in 0..round {
            let device = world.paired_device(&tenant_id).await;
            let revoked = world.store.revoke_device(world.change(), &device.identity);
            denied.extend(
                revoked
                    .await
                    .unwrap()
                    .denied
                    .iter()
                    .map(|row| row.tbs_sha256),
            );
        }
        for limit in [1, 9] {
            loop {
                let page = world.store.denied(cursor, limit).await.unwrap();
                assert!(page.digests.len() <= usize::try_from(limit).unwrap());
                cursor = page.next;
                read.extend(page.digests);
                if page.is_last {
                    break;
                }
            }
            assert_eq!(read, denied);
        }
    }
}

pub async fn a_denial_goes_when_its_certificate_expired_long_ago(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let revoked = world.store.revoke_device(world.change(), &device.identity);
    revoked.await.unwrap();
    let last_moment = VALIDITY + PURGE_MARGIN.whole_seconds();
    for (seconds, purged) in [
        (0, 0),
        (last_moment, 0),
        (last_moment + 1, 1),
        (last_moment + 1, 0),
    ] {
        let count = purge(&world, seconds, PURGE_MARGIN * 100).await;
        assert_eq!(count, purged, "{seconds}");
    }
    assert_eq!(world.denials().await, []);
    // What follows still stands behind what is gone: a reader's place stays good.
    let device = world.paired_device(&tenant_id).await;
    let revoked = world.store.revoke_device(world.change(), &device.identity);
    assert!(revoked.await.unwrap().denied[0].sequence > 1);
}

async fn purge(world: &World, seconds: i64, step: Duration) -> u64 {
    let purged = world.store.purge_denials(at(seconds), step);
    purged.await.unwrap()
}

pub async fn a_clock_that_is_ahead_for_a_week_forgets_no_live_denial(world: World) {
    const DAY: i64 = 86_400;
    let tenant_id = world.tenant("acme").await;
    // Nobody was denied yet: a wrong clock has nothing to lose, and is forgotten when it is right. It is
    // not when it is wrong again.
    for seconds in [400 * DAY, 0, 400 * DAY] {
        assert_eq!(purge(&world, seconds, Duration::ZERO).await, 0);
    }
    let device = world.paired_device(&tenant_id).await;
    let revoked = world.store.revoke_device(world.change(), &device.identity);
    revoked.await.unwrap();
    assert_eq!(purge(&world, 400 * DAY, Duration::ZERO).await, 0);
    let before = VALIDITY - 10 * DAY;
    assert_eq!(purge(&world, before, Duration::seconds(before)).await, 0);
    for _ in 0..7 {
        let ahead = before + 400 * DAY;
        assert_eq!(purge(&world, ahead, Duration::days(2)).await, 0);
    }
    // Put right, it takes up where time has come to.
    assert_eq!(purge(&world, before + 7 * DAY, Duration::days(2)).await, 0);
    assert_eq!(world.denials().await.len(), 1);
    let gone = VALIDITY + 9 * DAY;
    assert_eq!(purge(&world, gone, Duration::days(30)).await, 1);
}

pub async fn a_first_purge_by_a_clock_that_is_ahead_forgets_no_live_denial(world: World) {
    const YEAR: i64 = 365 * 86_400;
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let revoked = world.store.revoke_device(world.change(), &device.identity);
    revoked.await.unwrap();
    for _ in 0..3 {
        let ahead = VALIDITY + YEAR;
        assert_eq!(purge(&world, ahead, Duration::days(2)).await, 0);
    }
    assert_eq!(world.denials().await.len(), 1);
    let gone = VALIDITY + 9 * 86_400;
    assert_eq!(purge(&world, gone, Duration::seconds(gone)).await, 1);
}
