//! The life of CAs after they were added.

use std::sync::Arc;

use identity_pki::{Fingerprint, RotationRule, TenantId};

use super::fixtures::{VALIDITY, World, at};
use super::witness::Told;
use crate::{
    CaOrigin, CaState, CertificateRecord, Conflict, Device, Error, PairDevice, Paired, RenewDevice,
    TenantConfig,
};

impl World {
    /// A CA that is there.
    pub(super) async fn added_ca(&self, seconds: i64, state: CaState) -> Fingerprint {
        let ca = self.ca(seconds, state);
        let fingerprint = ca.fingerprint;
        let added = self
            .store
            .add_ca(self.change(), ca, self.key(), CaOrigin::Generated);
        added.await.unwrap();
        fingerprint
    }

    async fn ca_state(&self, ca: Fingerprint) -> CaState {
        let states = self.ca_states().await;
        let found = states.into_iter().find(|(known, _)| *known == ca);
        found.unwrap().1
    }

    /// What pairs a device that waits for it with a certificate of a CA.
    async fn pairing_under(&self, tenant_id: &TenantId, ca: Fingerprint) -> PairDevice {
        let (identity, code) = self.pending_device(tenant_id).await;
        let mut pairing = self.pairing(code, &identity);
        pairing.certificate.ca_fingerprint = ca;
        pairing
    }

    pub(super) async fn paired_under(&self, tenant_id: &TenantId, ca: Fingerprint) -> Device {
        let pairing = self.pairing_under(tenant_id, ca).await;
        match self.store.pair_device(self.change(), pairing).await {
            Ok(Paired::Now(device)) => *device,
            other => panic!("{other:?}"),
        }
    }

    fn renewal_under(&self, device: &Device, ca: Fingerprint) -> RenewDevice {
        RenewDevice {
            presented: device.certificate.as_ref().unwrap().tbs_sha256,
            certificate: CertificateRecord {
                ca_fingerprint: ca,
                ..self.certificate(&device.identity)
            },
        }
    }

    pub(super) async fn renewed_under(&self, device: &Device, ca: Fingerprint) -> Device {
        let renewal = self.renewal_under(device, ca);
        let renewed = self.store.renew_device(self.change(), renewal).await;
        renewed.unwrap().device
    }

    /// Whatever would enter a certificate of the CA is refused.
    async fn takes_no_certificates(&self, device: &Device, ca: Fingerprint) {
        let pairing = self.pairing_under(device.identity.tenant_id(), ca).await;
        self.conflicts(self.change(), Conflict::CaWithdrawn, async |change| {
            self.store.pair_device(change, pairing.clone()).await
        })
        .await;
        // Without an answer to keep it would be paired with others.
        let alone = self.store.pair_device(self.change(), pairing).await;
        let withdrawn = matches!(&alone, Err(Error::Conflict(Conflict::CaWithdrawn)));
        assert!(withdrawn, "{alone:?}");
        let renewal = self.renewal_under(device, ca);
        self.conflicts(self.change(), Conflict::CaWithdrawn, async |change| {
            self.store.renew_device(change, renewal).await
        })
        .await;
        assert_eq!(&self.device(&device.identity).await, device);
    }
}

pub async fn a_ca_is_activated_and_the_way_back_is_open(world: World) {
    let first = world.added_ca(1, CaState::Active).await;
    let second = world.added_ca(2, CaState::Prepared).await;
    for (issuing, other) in [(second, first), (first, second), (second, first)] {
        let told = Told::platform(&["platform_ca_activated"]);
        let activated = world
            .commits(world.change(), told, async |change| {
                world.store.activate_ca(change, &issuing).await
            })
            .await;
        assert_eq!(activated.fingerprint, issuing);
        assert_eq!(activated.state, CaState::Active);
        assert_eq!(world.ca_state(issuing).await, CaState::Active);
        assert_eq!(world.ca_state(other).await, CaState::Retiring);
    }
    let state = CaState::Active;
    let fingerprint = second;
    let active = Conflict::CaRotation(RotationRule::Activate { fingerprint, state });
    let fingerprint = Fingerprint::from_bytes(world.digest());
    let unknown = Conflict::CaRotation(RotationRule::Unknown { fingerprint });
    for (ca, conflict) in [(second, active), (fingerprint, unknown)] {
        world
            .conflicts(world.change(), conflict, async |change| {
                world.store.activate_ca(change, &ca).await
            })
            .await;
    }
}

pub async fn a_ca_with_devices_is_retired_by_force_alone(world: World) {
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let fingerprint = world.added_ca(1, CaState::Active).await;
    for tenant_id in [&acme, &other] {
        world.paired_under(tenant_id, fingerprint).await;
    }
    let moves = world.paired_under(&acme, fingerprint).await;
    let next = world.added_ca(2, CaState::Active).await;
    let moved = world.renewed_under(&moves, next).await;
    let devices = 2;
    let rule = RotationRule::InUse {
        fingerprint,
        devices,
    };
    world
        .conflicts(world.change(), rule.into(), async |change| {
            world.store.retire_ca(change, &fingerprint, false).await
        })
        .await;
    assert!(world.stored_key(fingerprint).await.is_some());
    let told = Told::platform(&["platform_ca_retired"]);
    let retired = world
        .commits(world.change(), told, async |change| {
            world.store.retire_ca(change, &fingerprint, true).await
        })
        .await;
    assert_eq!(
        (retired.fingerprint, retired.state),
        (fingerprint, CaState::Retired)
    );
    assert_eq!(world.stored_key(fingerprint).await, None, "nobody needs it");
    assert!(world.stored_key(next).await.is_some());
    world.takes_no_certificates(&moved, fingerprint).await;
    let state = CaState::Retired;
    for (ca, rule) in [
        (fingerprint, RotationRule::Retire { fingerprint, state }),
        (
            next,
            RotationRule::Retire {
                fingerprint: next,
                state: CaState::Active,
            },
        ),
    ] {
        world
            .conflicts(world.change(), rule.into(), async |change| {
                world.store.retire_ca(change, &ca, true).await
            })
            .await;
    }
}

pub async fn a_ca_is_not_retired_while_a_renewal_of_its_certificate_may_be_repeated(world: World) {
    let tenant_id = world.tenant("acme").await;
    let config = TenantConfig {
        renewal_grace_seconds: 60,
        ..TenantConfig::default()
    };
    world.configure(&tenant_id, config).await;
    let fingerprint = world.added_ca(1, CaState::Active).await;
    let device = world.paired_under(&tenant_id, fingerprint).await;
    let next = world.added_ca(2, CaState::Active).await;
    let renewal = world.renewal_under(&device, next);
    let renewed = world.store.renew_device(world.change_at(10), renewal).await;
    renewed.unwrap();
    let rule = RotationRule::InUse {
        fingerprint,
        devices: 1,
    };
    world
        .conflicts(world.change_at(69), rule.into(), async |change| {
            world.store.retire_ca(change, &fingerprint, false).await
        })
        .await;
    let retired = world
        .store
        .retire_ca(world.change_at(70), &fingerprint, false);
    assert_eq!(retired.await.unwrap().state, CaState::Retired);
}

pub async fn a_ca_whose_certificates_expired_is_retired_without_force(world: World) {
    let tenant_id = world.tenant("acme").await;
    let ca = world.added_ca(1, CaState::Active).await;
    world.paired_under(&tenant_id, ca).await;
    world.added_ca(2, CaState::Active).await;
    let retire = async |change| world.store.retire_ca(change, &ca, false).await;
    let rule = RotationRule::InUse {
        fingerprint: ca,
        devices: 1,
    };
    // It is valid through the second of its end.
    let last = world.change_at(VALIDITY);
    world.conflicts(last, rule.into(), retire).await;
    let told = Told::platform(&["platform_ca_retired"]);
    let after = world.change_at(VALIDITY + 1);
    world.commits(after, told, retire).await;
}

pub async fn a_regeneration_taints_the_ca_that_it_names(world: World) {
    let tenant_id = world.tenant("acme").await;
    let old = world.added_ca(1, CaState::Active).await;
    let device = world.paired_under(&tenant_id, old).await;
    let prepared = world.added_ca(2, CaState::Prepared).await;
    // Whatever it says of its state.
    let new = world.ca(3, CaState::Prepared);
    for wrong in [prepared, new.fingerprint] {
        let rule = RotationRule::Confirm { confirmed: wrong };
        world
            .conflicts(world.change(), rule.into(), async |change| {
                let (new, key) = (new.clone(), world.key());
                world.store.regenerate_ca(change, &wrong, new, key).await
            })
            .await;
    }
    let key = world.key();
    let told = Told::platform(&["platform_ca_regenerated"]);
    world
        .commits(world.change(), told, async |change| {
            let (new, key) = (new.clone(), key.clone());
            world.store.regenerate_ca(change, &old, new, key).await
        })
        .await;
    assert_eq!(world.ca_state(old).await, CaState::Tainted);
    assert_eq!(world.ca_state(new.fingerprint).await, CaState::Active);
    assert_eq!(world.ca_state(prepared).await, CaState::Prepared);
    assert_eq!(world.stored_key(old).await, None);
    let stored = world.stored_key(new.fingerprint).await;
    assert_eq!(stored.as_deref(), Some(key.expose()));
    let standing = world.store.device_standing(&device.identity, at(0)).await;
    let active = device.certificate.as_ref().unwrap().tbs_sha256;
    assert_eq!(standing.unwrap().unwrap().active_tbs_sha256, Some(active));
    world.takes_no_certificates(&device, old).await;
    world.renewed_under(&device, new.fingerprint).await;
}

pub async fn a_pairing_and_a_retirement_at_once_leave_no_device_behind(world: World) {
    let tenant_id = world.tenant("acme").await;
    for round in 0..8 {
        let ca = world.added_ca(2 * round, CaState::Active).await;
        world.added_ca(2 * round + 1, CaState::Active).await;
        let pairing = world.pairing_under(&tenant_id, ca).await;
        let (store, change) = (Arc::clone(&world.store), world.change());
        let pairs = tokio::spawn(async move { store.pair_device(change, pairing).await });
        let (store, change) = (Arc::clone(&world.store), world.change());
        let retires = tokio::spawn(async move { store.retire_ca(change, &ca, false).await });
        let (paired, retired) = (pairs.await.unwrap(), retires.await.unwrap());
        match (&paired, &retired) {
            (Err(Error::Conflict(Conflict::CaWithdrawn)), Ok(_)) => {}
            (Ok(_), Err(Error::Conflict(Conflict::CaRotation(RotationRule::InUse { .. })))) => {}
            _ => panic!("{paired:?}, {retired:?}"),
        }
    }
}
