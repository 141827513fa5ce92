use identity_pki::{Fingerprint, TenantId};

use super::fixtures::{World, at};
use super::witness::Told;
use crate::{
    CertificateRecord, Conflict, DenialReason, DeniedCertificate, Device, RenewDevice,
    RenewalGrace, TenantConfig,
};

/// Of every tenant here, in seconds.
const GRACE: i64 = 60;

impl World {
    async fn patient_tenant(&self, slug: &str) -> TenantId {
        let tenant_id = self.tenant(slug).await;
        let config = TenantConfig {
            renewal_grace_seconds: u32::try_from(GRACE).unwrap(),
            ..TenantConfig::default()
        };
        self.configure(&tenant_id, config).await;
        tenant_id
    }

    /// Renews a device, and gives it with what was denied.
    async fn renewed_at(&self, seconds: i64, device: &Device) -> (Device, Vec<DeniedCertificate>) {
        let renewal = RenewDevice {
            presented: device.certificate.as_ref().unwrap().tbs_sha256,
            certificate: self.certificate(&device.identity),
        };
        let told = Told::tenant(&["cert_renewed"], &["device.renewed"]);
        let renewed = self
            .commits(self.change_at(seconds), told, async |change| {
                self.store.renew_device(change, renewal.clone()).await
            })
            .await;
        assert_eq!(renewed.device.certificate, Some(renewal.certificate));
        (renewed.device, renewed.denied)
    }

    async fn grace(&self, device: &Device) -> Option<RenewalGrace> {
        let (store, identity) = (&self.store, &device.identity);
        let standing = store
            .device_standing(identity, at(0))
            .await
            .unwrap()
            .unwrap();
        let work = store.device_work(identity, at(0)).await.unwrap().unwrap();
        assert_eq!(work.standing, standing);
        standing.renewal_grace
    }

    async fn denials_of(&self, certificate: &CertificateRecord) -> Option<DenialReason> {
        let denial = self.store.denial(&certificate.tbs_sha256).await.unwrap();
        denial.map(|denied| denied.reason)
    }
}

fn certificate(device: &Device) -> CertificateRecord {
    device.certificate.clone().unwrap()
}

pub async fn a_superseded_certificate_has_its_grace_before_it_is_denied(world: World) {
    let device = world
        .paired_device(&world.patient_tenant("acme").await)
        .await;
    let old = certificate(&device);
    assert_eq!(world.grace(&device).await, None);
    let (renewed, denied) = world.renewed_at(10, &device).await;
    assert_eq!(denied, []);
    let grace = RenewalGrace {
        superseded: old.tbs_sha256,
        ends_at: at(10 + GRACE),
    };
    assert_eq!(world.grace(&device).await, Some(grace));
    assert_eq!(world.denials_of(&old).await, None);

    let end = async |seconds, superseded: &CertificateRecord| {
        let (store, identity) = (&world.store, &device.identity);
        world
            .commits(world.change_at(seconds), Told::nothing(), async |change| {
                store
                    .end_renewal_grace(change, identity, &superseded.tbs_sha256)
                    .await
            })
            .await
    };
    assert_eq!(end(11, &certificate(&renewed)).await, None, "it is active");
    assert_eq!(world.grace(&device).await, Some(grace));
    let denied = end(12, &old).await.unwrap();
    assert_eq!(
        (denied.tbs_sha256, denied.reason),
        (old.tbs_sha256, DenialReason::Renewed)
    );
    assert_eq!((denied.serial, denied.revoked_at), (old.serial, at(12)));
    assert_eq!(world.store.denials(0, 9).await.unwrap(), [denied]);
    assert_eq!(world.grace(&device).await, None);
    assert_eq!(end(13, &old).await, None, "once");
    assert_eq!(world.device(&device.identity).await, renewed);
}

pub async fn a_certificate_in_its_grace_does_not_renew(world: World) {
    let device = world
        .paired_device(&world.patient_tenant("acme").await)
        .await;
    let (renewed, _) = world.renewed_at(10, &device).await;
    let again = RenewDevice {
        presented: certificate(&device).tbs_sha256,
        certificate: world.certificate(&device.identity),
    };
    world
        .conflicts(
            world.change_at(11),
            Conflict::RenewalConflict,
            async |change| world.store.renew_device(change, again).await,
        )
        .await;
    assert_eq!(world.device(&device.identity).await, renewed);
}

pub async fn the_next_renewal_denies_what_was_in_its_grace(world: World) {
    let device = world
        .paired_device(&world.patient_tenant("acme").await)
        .await;
    let (second, _) = world.renewed_at(10, &device).await;
    let (third, denied) = world.renewed_at(20, &second).await;
    let denied: Vec<_> = denied.iter().map(|denied| denied.tbs_sha256).collect();
    assert_eq!(denied, [certificate(&device).tbs_sha256]);
    let grace = RenewalGrace {
        superseded: certificate(&second).tbs_sha256,
        ends_at: at(20 + GRACE),
    };
    assert_eq!(world.grace(&third).await, Some(grace));

    let tenant_id = device.identity.tenant_id();
    world.configure(tenant_id, TenantConfig::default()).await;
    let (fourth, denied) = world.renewed_at(30, &third).await;
    let denied: Vec<_> = denied.iter().map(|denied| denied.tbs_sha256).collect();
    assert_eq!(denied, [grace.superseded, certificate(&third).tbs_sha256]);
    assert_eq!(world.grace(&fourth).await, None);
}

pub async fn a_revocation_and_a_new_code_deny_what_is_in_its_grace(world: World) {
    let tenant_id = world.patient_tenant("acme").await;
    for replace in [false, true] {
        let device = world.paired_device(&tenant_id).await;
        let (renewed, _) = world.renewed_at(10, &device).await;
        let (change, identity) = (world.change_at(20), &device.identity);
        let revocation = if replace {
            let offer = world.offer();
            world
                .store
                .issue_pairing_code(change, identity, offer, true)
                .await
        } else {
            world.store.revoke_device(change, identity).await
        };
        let denied = revocation.unwrap().denied;
        let denied: Vec<_> = denied.iter().map(|denied| denied.tbs_sha256).collect();
        let both = [&device, &renewed].map(|device| certificate(device).tbs_sha256);
        assert_eq!(denied, both);
        assert_eq!(world.grace(&device).await, None);
        let ended = world
            .store
            .end_renewal_grace(world.change_at(21), identity, &both[0])
            .await;
        assert_eq!(ended.unwrap(), None);
    }
    assert_eq!(
        world.store.overdue_renewal_graces(at(99), 9).await.unwrap(),
        []
    );
}

pub async fn graces_that_are_over_are_found_until_they_are_ended(world: World) {
    let (acme, other) = (
        world.patient_tenant("acme").await,
        world.patient_tenant("other").await,
    );
    let mut expected = Vec::new();
    for (tenant_id, seconds) in [(&acme, 10), (&other, 5), (&acme, 20)] {
        let device = world.paired_device(tenant_id).await;
        world.renewed_at(seconds, &device).await;
        let old = certificate(&device).tbs_sha256;
        expected.push((seconds, (device.identity.clone(), old)));
    }
    expected.sort_by_key(|(seconds, _)| *seconds);
    let expected: Vec<_> = expected.into_iter().map(|(_, overdue)| overdue).collect();
    let overdue = async |seconds, limit| {
        let overdue = world.store.overdue_renewal_graces(at(seconds), limit).await;
        overdue.unwrap()
    };
    assert_eq!(overdue(4 + GRACE, 9).await, []);
    assert_eq!(overdue(5 + GRACE, 9).await, expected[..1]);
    assert_eq!(overdue(20 + GRACE, 2).await, expected[..2]);
    assert_eq!(overdue(20 + GRACE, 9).await, expected);
    let (identity, superseded) = &expected[0];
    let ended = world
        .store
        .end_renewal_grace(world.change_at(100), identity, superseded)
        .await;
    assert!(ended.unwrap().is_some());
    assert_eq!(overdue(20 + GRACE, 9).await, expected[1..]);
}

pub async fn a_device_in_its_grace_counts_for_the_ca_of_either_certificate(world: World) {
    let tenant_id = world.patient_tenant("acme").await;
    let first = world.paired_device(&tenant_id).await;
    let old_ca = certificate(&first).ca_fingerprint;
    let new_ca = Fingerprint::from_bytes([0xcb; 32]);
    let counts = async |seconds| {
        let active = world.store.active_devices(at(seconds)).await.unwrap();
        [old_ca, new_ca].map(|ca| active.get(&ca).copied().unwrap_or(0))
    };
    let (second, _) = world.renewed_at(10, &first).await;
    assert_eq!(counts(11).await, [1, 0], "it is one device");
    let mut next = world.certificate(&second.identity);
    next.ca_fingerprint = new_ca;
    let renewal = RenewDevice {
        presented: certificate(&second).tbs_sha256,
        certificate: next,
    };
    let renewed = world.store.renew_device(world.change_at(20), renewal).await;
    renewed.unwrap();
    assert_eq!(counts(20 + GRACE - 1).await, [1, 1]);
    assert_eq!(counts(20 + GRACE).await, [0, 1]);
    let superseded = &certificate(&second).tbs_sha256;
    let ended = world
        .store
        .end_renewal_grace(world.change_at(30), &second.identity, superseded);
    ended.await.unwrap();
    assert_eq!(counts(31).await, [0, 1]);
}
