//! Devices that are paired at once, in any database.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a story that goes wrong panics: that is its report"
)]

use std::sync::{Arc, Mutex};

use identity_challenge::{DeviceBinding, DeviceClass};
use identity_pki::{
    DeviceId, DeviceIdentity, Fingerprint, PairingCodeHash, SerialNumber, SpkiSha256, TbsSha256,
    TenantId,
};
use identity_store::{
    Actor, AuditStore as _, CertificateRecord, CertificateStore as _, Chain, Change, Conflict,
    Device, DeviceInfo, DeviceStore as _, Error, NewDevice, Notice, Origin, PairDevice, Paired,
    PairingOffer, SqlStore, Store as _, StoreObserver, TenantStore as _, Transaction,
    TransactionEnd, UnreadableValue,
};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

pub(crate) const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);
const DEVICES: u8 = 100;

/// Counts the pairings that were committed together, and alone.
#[derive(Debug, Default)]
struct Counted(Mutex<(usize, usize)>);

impl StoreObserver for Counted {
    fn noticed(&self, _notice: &Notice, _origin: Origin) {}

    fn transaction_ended(&self, transaction: &Transaction) {
        let mut counted = self.0.lock().unwrap();
        match (transaction.name, transaction.ended) {
            ("pair_devices", TransactionEnd::Committed) => counted.0 += 1,
            ("pair_device", _) => counted.1 += 1,
            _ => {}
        }
    }

    fn unreadable(&self, _value: &UnreadableValue) {}
}

pub(crate) fn change() -> Change {
    Change::new(NOW, Actor::System("test"), "req_test")
}

pub(crate) fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

pub(crate) fn device(n: u8) -> DeviceIdentity {
    DeviceIdentity::new(acme(), DeviceId::new(format!("dev_{n}")).unwrap())
}

fn code(n: u8) -> PairingCodeHash {
    PairingCodeHash::from_bytes([n; 32])
}

pub(crate) fn waiting(n: u8) -> NewDevice {
    NewDevice {
        identity: device(n),
        name: format!("Counter {n}"),
        location: None,
        binding: DeviceBinding::new(DeviceClass::PersonalScanner, None, None).unwrap(),
        tags: [].into(),
        pairing: offer(n),
    }
}

fn offer(n: u8) -> PairingOffer {
    PairingOffer {
        code_hash: code(n),
        expires_at: NOW + Duration::minutes(5),
    }
}

fn pairing(n: u8, key: u8) -> PairDevice {
    let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
    PairDevice {
        code_hash: code(n),
        certificate: CertificateRecord {
            identity: device(n),
            serial: SerialNumber::generate(&mut rng),
            fingerprint: Fingerprint::from_bytes([key; 32]),
            tbs_sha256: TbsSha256::from_bytes([key; 32]),
            spki_sha256: SpkiSha256::from_bytes([key; 32]),
            ca_fingerprint: Fingerprint::from_bytes([200; 32]),
            not_before: NOW,
            not_after: NOW + Duration::days(90),
            pem: "-----BEGIN CERTIFICATE-----\n".to_owned(),
        },
        info: DeviceInfo::default(),
    }
}

/// Pairs a hundred devices at once, one of them by a code that is wrong and one with another's key.
pub(crate) async fn devices_are_paired_together_and_each_gets_its_own_answer(store: &SqlStore) {
    let created = store.create_tenant(change(), acme(), "Acme".to_owned());
    created.await.unwrap();
    for n in 0..DEVICES {
        store.create_device(change(), waiting(n)).await.unwrap();
    }
    let counted = Arc::new(Counted::default());
    store.observe(Arc::clone(&counted) as _);

    let mut wrong_code = pairing(0, 0);
    wrong_code.code_hash = code(250);
    let mut calls = tokio::task::JoinSet::new();
    for n in 1..DEVICES {
        // The last has the key of the one before.
        let asked = pairing(n, n.min(DEVICES - 2));
        let store = store.clone();
        calls.spawn(async move { (n, store.pair_device(change(), asked).await) });
    }
    let refused = store.pair_device(change(), wrong_code).await;
    assert!(matches!(
        refused,
        Err(Error::Conflict(Conflict::PairingCodeInvalid))
    ));
    let mut reused = 0;
    while let Some(answered) = calls.join_next().await {
        let (n, answer) = answered.unwrap();
        match answer {
            Ok(Paired::Now(paired)) => {
                assert_eq!(paired.identity, device(n));
                assert_eq!(
                    store.device(&device(n), NOW).await.unwrap(),
                    Some(*paired.clone())
                );
                let serial = paired.certificate.unwrap().serial;
                assert!(store.issuance(&serial).await.unwrap().is_some());
            }
            Err(Error::Conflict(Conflict::KeyReused)) => reused += 1,
            other => panic!("{n}: {other:?}"),
        }
    }
    assert_eq!(reused, 1);

    let (together, alone) = *counted.0.lock().unwrap();
    assert!(
        together > 0 && together < usize::from(DEVICES) / 2,
        "{together} groups"
    );
    assert_eq!(alone, 2, "only the refused were asked alone");
    while store.seal_audit(1000).await.unwrap().is_full(1000) {}
    let rows = store
        .sealed_audit(&Chain::Tenant(acme()), 0, 1000)
        .await
        .unwrap();
    let told = rows
        .iter()
        .filter(|sealed| sealed.row.action == "device_paired")
        .count();
    assert_eq!(told, usize::from(DEVICES) - 2);
}

/// A code is replaced between its look-up and the pairing: it pairs nothing, in whatever order it comes
/// beside its successor.
pub(crate) async fn a_replaced_code_pairs_nothing_beside_its_successor(store: &SqlStore) {
    const BUSY: u8 = 0;
    let created = store.create_tenant(change(), acme(), "Acme".to_owned());
    created.await.unwrap();
    store.create_device(change(), waiting(BUSY)).await.unwrap();
    for (n, replaced_first) in [(1, true), (2, false)] {
        store.create_device(change(), waiting(n)).await.unwrap();
        let by_replaced = pairing(n, n);
        let mut by_successor = pairing(n, n + 100);
        by_successor.code_hash = code(n + 100);
        let replaced = by_replaced.certificate.serial;
        let successor = by_successor.certificate.serial;
        let identity = device(n);
        let replaced_code = store.issue_pairing_code(change(), &identity, offer(n + 100), false);
        replaced_code.await.unwrap();
        // While this is committed, both others wait for the next group.
        let busy = store.pair_device(change(), pairing(BUSY, BUSY + n + 50));
        let by_replaced = store.pair_device(change(), by_replaced);
        let by_successor = store.pair_device(change(), by_successor);
        let (refused, paired) = if replaced_first {
            let (_, refused, paired) = tokio::join!(busy, by_replaced, by_successor);
            (refused, paired)
        } else {
            let (_, paired, refused) = tokio::join!(busy, by_successor, by_replaced);
            (refused, paired)
        };
        assert!(
            matches!(refused, Err(Error::Conflict(Conflict::PairingCodeInvalid))),
            "{refused:?}"
        );
        let serial = |device: Device| device.certificate.unwrap().serial;
        match paired.unwrap() {
            Paired::Now(device) => assert_eq!(serial(*device), successor),
            other => panic!("{other:?}"),
        }
        let active = store.device(&device(n), NOW).await.unwrap().unwrap();
        assert_eq!(serial(active), successor);
        assert_eq!(store.issuance(&replaced).await.unwrap(), None);
    }
}
