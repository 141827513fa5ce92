use std::sync::Arc;

use identity_pki::PairingCodeHash;
use tokio::task::JoinSet;

use super::fixtures::{CODE_LIFE, ENROLL_LEFT, VALIDITY, World, at};
use super::witness::Told;
use crate::{
    CertificateRecord, Conflict, DenialReason, DevicePolicy, DeviceStatus, Issuance,
    IssuancePurpose, PairDevice, Paired, PairingCandidate, RenewDevice,
};

pub async fn a_code_is_looked_up_while_it_is_good(world: World) {
    let tenant_id = world.tenant("acme").await;
    let (identity, code) = world.pending_device(&tenant_id).await;
    let candidate = async |code: &PairingCodeHash, seconds| {
        let found = world.store.pairing_candidate(code, at(seconds)).await;
        found.unwrap()
    };
    let tenant = world.store.tenant(&tenant_id).await.unwrap().unwrap();
    let expected = PairingCandidate {
        identity,
        tenant_status: tenant.status,
        device_policy: DevicePolicy::default().of_tenant(&tenant.config),
        spent_on: None,
    };
    assert_eq!(candidate(&code, CODE_LIFE - 1).await, Some(expected));
    assert_eq!(candidate(&code, CODE_LIFE).await, None);
    let unknown = PairingCodeHash::from_bytes(world.digest());
    assert_eq!(candidate(&unknown, 0).await, None);
}

pub async fn a_code_makes_a_certificate_the_devices(world: World) {
    let tenant_id = world.tenant("acme").await;
    let (identity, code) = world.pending_device(&tenant_id).await;
    let pairing = world.pairing(code, &identity);
    let told = Told::tenant(&["device_paired"], &["device.paired"]);
    let change = world.change_at(10);
    let request_id = change.request_id.clone();
    let paired = world
        .commits(change, told, async |change| {
            world.store.pair_device(change, pairing.clone()).await
        })
        .await;
    let Paired::Now(device) = paired else {
        panic!("{paired:?}");
    };
    assert_eq!(device.status, DeviceStatus::Paired);
    assert_eq!(device.certificate.as_ref(), Some(&pairing.certificate));
    assert_eq!(device.info, pairing.info);
    assert_eq!(device.paired_at, Some(at(10)));
    assert_eq!(device.pairing_expires_at, None);
    assert_eq!(world.device(&identity).await, *device);
    let late = world.store.device(&identity, at(CODE_LIFE)).await.unwrap();
    assert_eq!(late.unwrap().status, DeviceStatus::Paired);

    let certificate = pairing.certificate;
    let issuance = world.store.issuance(&certificate.serial).await.unwrap();
    let spki_sha256 = certificate.spki_sha256;
    let expected = Issuance {
        certificate,
        profile: "device".to_owned(),
        purpose: IssuancePurpose::Pairing,
        request_id,
        issued_at: at(10),
    };
    assert_eq!(issuance, Some(expected));
    assert!(world.store.key_was_certified(&spki_sha256).await.unwrap());
}

pub async fn a_certificate_that_was_not_issued_is_not_in_the_ledger(world: World) {
    let tenant_id = world.tenant("acme").await;
    let (identity, _) = world.pending_device(&tenant_id).await;
    let drawn = world.certificate(&identity);
    assert_eq!(world.store.issuance(&drawn.serial).await.unwrap(), None);
    let known = world.store.key_was_certified(&drawn.spki_sha256).await;
    assert!(!known.unwrap());
}

/// Tries a pairing that has to be refused as one with a bad code.
async fn refuse(world: &World, seconds: i64, pairing: PairDevice) {
    let certificate = pairing.certificate.clone();
    let invalid = Conflict::PairingCodeInvalid;
    world
        .conflicts(world.change_at(seconds), invalid, async |change| {
            world.store.pair_device(change, pairing).await
        })
        .await;
    let issued = world.store.issuance(&certificate.serial).await.unwrap();
    assert_eq!(issued, None);
}

pub async fn a_code_that_is_not_good_pairs_nothing(world: World) {
    let tenant_id = world.tenant("acme").await;
    let (identity, code) = world.pending_device(&tenant_id).await;
    let before = world.device(&identity).await;
    let unknown = PairingCodeHash::from_bytes(world.digest());
    refuse(&world, 0, world.pairing(unknown, &identity)).await;
    refuse(&world, CODE_LIFE, world.pairing(code, &identity)).await;
    let (another, _) = world.pending_device(&tenant_id).await;
    refuse(&world, 0, world.pairing(code, &another)).await;
    assert_eq!(world.device(&identity).await, before);

    let offer = world.offer();
    let issued = world
        .store
        .issue_pairing_code(world.change(), &identity, offer.clone(), false);
    issued.await.unwrap();
    refuse(&world, 0, world.pairing(code, &identity)).await;
    assert_eq!(
        world.store.pairing_candidate(&code, at(0)).await.unwrap(),
        None
    );
    let pairing = world.pairing(offer.code_hash, &identity);
    let paired = world.store.pair_device(world.change(), pairing).await;
    assert!(matches!(paired, Ok(Paired::Now(_))), "{paired:?}");
}

pub async fn the_same_key_gets_its_certificate_again(world: World) {
    let tenant_id = world.tenant("acme").await;
    let (device, code) = world.paired_with_code(&tenant_id).await;
    let certificate = device.certificate.clone().unwrap();
    let again = PairDevice {
        certificate: CertificateRecord {
            spki_sha256: certificate.spki_sha256,
            ..world.certificate(&device.identity)
        },
        ..world.pairing(code, &device.identity)
    };
    let late = CODE_LIFE - 1;
    let candidate = world
        .store
        .pairing_candidate(&code, at(late))
        .await
        .unwrap();
    assert_eq!(candidate.unwrap().spent_on, Some(certificate));
    let before = world
        .commits(world.change_at(late), Told::nothing(), async |change| {
            world.store.pair_device(change, again.clone()).await
        })
        .await;
    assert_eq!(before, Paired::Before(Box::new(device.clone())));
    let serial = again.certificate.serial;
    assert_eq!(world.store.issuance(&serial).await.unwrap(), None);
    refuse(&world, CODE_LIFE, again).await;
    refuse(&world, 0, world.pairing(code, &device.identity)).await;
    assert_eq!(world.device(&device.identity).await, device);
}

pub async fn of_many_pairings_with_one_code_one_is_now(world: World) {
    let tenant_id = world.tenant("acme").await;
    let (identity, code) = world.pending_device(&tenant_id).await;
    let mut calls = JoinSet::new();
    for _ in 0..64 {
        let store = Arc::clone(&world.store);
        let (change, pairing) = (world.change(), world.pairing(code, &identity));
        calls.spawn(async move { store.pair_device(change, pairing).await });
    }
    let mut winners = Vec::new();
    for paired in calls.join_all().await {
        match paired {
            Ok(Paired::Now(device)) => winners.push(*device),
            Err(crate::Error::Conflict(Conflict::PairingCodeInvalid)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(winners, [world.device(&identity).await]);
    let chain = crate::Chain::Tenant(tenant_id);
    let rows = world.audit(&chain).await;
    let paired = rows.iter().filter(|row| row.action == "device_paired");
    assert_eq!(paired.count(), 1);
}

pub async fn the_same_key_at_once_is_paired_once(world: World) {
    let tenant_id = world.tenant("acme").await;
    let (identity, code) = world.pending_device(&tenant_id).await;
    let spki_sha256 = world.certificate(&identity).spki_sha256;
    let mut calls = JoinSet::new();
    for _ in 0..64 {
        let store = Arc::clone(&world.store);
        let mut pairing = world.pairing(code, &identity);
        pairing.certificate.spki_sha256 = spki_sha256;
        let change = world.change();
        calls.spawn(async move { store.pair_device(change, pairing).await.unwrap() });
    }
    let mut now = 0;
    let device = world.device(&identity).await;
    let mut serials = Vec::new();
    for paired in calls.join_all().await {
        let device = match paired {
            Paired::Now(device) => {
                now += 1;
                device
            }
            Paired::Before(device) => device,
        };
        serials.push(device.certificate.unwrap().serial);
    }
    serials.dedup();
    assert_eq!((now, serials.len()), (1, 1), "{device:?}");
}

pub async fn a_key_or_a_number_is_certified_once(world: World) {
    let tenant_id = world.tenant("acme").await;
    let known = world.paired_device(&tenant_id).await.certificate.unwrap();
    let (identity, code) = world.pending_device(&tenant_id).await;
    let before = world.device(&identity).await;
    let pairing = |certificate| PairDevice {
        certificate,
        ..world.pairing(code, &identity)
    };
    let fresh = || world.certificate(&identity);
    let same_key = CertificateRecord {
        spki_sha256: known.spki_sha256,
        ..fresh()
    };
    let same_serial = CertificateRecord {
        serial: known.serial,
        ..fresh()
    };
    for (certificate, conflict) in [
        (same_key, Conflict::KeyReused),
        (same_serial, Conflict::IdTaken),
    ] {
        let pairing = pairing(certificate);
        world
            .conflicts(world.change(), conflict, async |change| {
                world.store.pair_device(change, pairing).await
            })
            .await;
        assert_eq!(world.device(&identity).await, before);
    }
    let paired = world.store.pair_device(world.change(), pairing(fresh()));
    assert!(matches!(paired.await, Ok(Paired::Now(_))));
}

pub async fn a_paired_device_gets_a_new_code_when_asked_to_replace(world: World) {
    let tenant_id = world.tenant("acme").await;
    let (device, old_code) = world.paired_with_code(&tenant_id).await;
    let identity = device.identity.clone();
    let old = device.certificate.clone().unwrap();
    let offer = world.offer();
    world
        .conflicts(
            world.change(),
            Conflict::DeviceAlreadyPaired,
            async |change| {
                let offer = offer.clone();
                world
                    .store
                    .issue_pairing_code(change, &identity, offer, false)
                    .await
            },
        )
        .await;
    assert_eq!(world.device(&identity).await, device);

    let user = world.consenting_user(&tenant_id, "ada").await;
    let open = world.open(&user, &device, ENROLL_LEFT).await;
    let told = Told::tenant(
        &["pairing_code_issued", "challenge_canceled"],
        &["challenge.canceled"],
    );
    let change = world.change_at(20);
    let by = change.actor.id().to_owned();
    let replaced = world
        .commits(change, told, async |change| {
            let offer = offer.clone();
            world
                .store
                .issue_pairing_code(change, &identity, offer, true)
                .await
        })
        .await;
    assert_eq!(replaced.device.status, DeviceStatus::PendingPairing);
    assert_eq!(replaced.device.certificate, None);
    assert_eq!(replaced.device.paired_at, Some(at(0)));
    assert_eq!(replaced.device, world.device(&identity).await);
    let [denied] = &replaced.denied[..] else {
        panic!("{:?}", replaced.denied);
    };
    assert_eq!(denied.reason, DenialReason::Replaced);
    assert_eq!(denied.tbs_sha256, old.tbs_sha256);
    assert_eq!(denied.revoked_by, by);
    let open = world.challenge(&open).await.challenge;
    assert_eq!(open.status_reason().unwrap().as_str(), "device_revoked");

    refuse(&world, 21, world.pairing(old_code, &identity)).await;
    let pairing = world.pairing(offer.code_hash, &identity);
    let certificate = pairing.certificate.clone();
    let paired = world.store.pair_device(world.change_at(21), pairing).await;
    assert!(matches!(paired, Ok(Paired::Now(_))), "{paired:?}");
    assert_eq!(world.device(&identity).await.certificate, Some(certificate));
}

pub async fn an_expired_or_revoked_device_gets_a_new_code(world: World) {
    let tenant_id = world.tenant("acme").await;
    let (identity, _) = world.pending_device(&tenant_id).await;
    for seconds in [CODE_LIFE, CODE_LIFE + 1] {
        let offer = crate::PairingOffer {
            expires_at: at(seconds + CODE_LIFE),
            ..world.offer()
        };
        let told = Told::tenant(&["pairing_code_issued"], &[]);
        let issued = world
            .commits(world.change_at(seconds), told, async |change| {
                world
                    .store
                    .issue_pairing_code(change, &identity, offer, false)
                    .await
            })
            .await;
        assert_eq!(issued.device.status, DeviceStatus::PendingPairing);
        assert_eq!(issued.denied, []);
        let revoked = world.store.revoke_device(world.change(), &identity);
        assert_eq!(revoked.await.unwrap().device.pairing_expires_at, None);
    }
}

pub async fn a_code_that_is_in_use_is_not_given_out_twice(world: World) {
    let tenant_id = world.tenant("acme").await;
    let (_, code_hash) = world.pending_device(&tenant_id).await;
    let (identity, own) = world.pending_device(&tenant_id).await;
    let offer = crate::PairingOffer {
        code_hash,
        ..world.offer()
    };
    world
        .conflicts(world.change(), Conflict::IdTaken, async |change| {
            world
                .store
                .issue_pairing_code(change, &identity, offer, false)
                .await
        })
        .await;
    let candidate = world.store.pairing_candidate(&own, at(0)).await.unwrap();
    assert_eq!(candidate.unwrap().identity, identity);
}

pub async fn a_spent_code_ends_with_a_renewal_or_a_revocation(world: World) {
    let tenant_id = world.tenant("acme").await;
    let (renewed, renewed_code) = world.paired_with_code(&tenant_id).await;
    let first = renewed.certificate.unwrap();
    let renewal = RenewDevice {
        presented: first.tbs_sha256,
        certificate: world.certificate(&renewed.identity),
    };
    let done = world.store.renew_device(world.change(), renewal).await;
    done.unwrap();
    let (revoked, revoked_code) = world.paired_with_code(&tenant_id).await;
    let done = world.store.revoke_device(world.change(), &revoked.identity);
    done.await.unwrap();
    for (identity, code, spki_sha256) in [
        (renewed.identity, renewed_code, first.spki_sha256),
        (
            revoked.identity,
            revoked_code,
            revoked.certificate.unwrap().spki_sha256,
        ),
    ] {
        let candidate = world.store.pairing_candidate(&code, at(1)).await.unwrap();
        assert_eq!(candidate, None);
        let mut pairing = world.pairing(code, &identity);
        pairing.certificate.spki_sha256 = spki_sha256;
        refuse(&world, 1, pairing).await;
    }
}

pub async fn what_looks_expired_is_denied_too(world: World) {
    let tenant_id = world.tenant("acme").await;
    for seconds in [VALIDITY, VALIDITY + 1, 2 * VALIDITY] {
        let device = world.paired_device(&tenant_id).await;
        let issued = world
            .store
            .issue_pairing_code(
                world.change_at(seconds),
                &device.identity,
                world.offer(),
                true,
            )
            .await;
        let denied = issued.unwrap().denied;
        assert_eq!(denied.len(), 1, "{seconds}");
        let tbs_sha256 = device.certificate.unwrap().tbs_sha256;
        assert_eq!(denied[0].tbs_sha256, tbs_sha256, "{seconds}");
    }
}
