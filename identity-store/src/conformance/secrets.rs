use std::sync::Arc;

use identity_pki::{Fingerprint, RotationRule, SpkiSha256};
use tokio::task::JoinSet;

use super::fixtures::{World, at};
use super::witness::Told;
use crate::{
    CaOrigin, CaRecord, CaState, ComparedKey, Conflict, Error, NamedSecret, PrivateKeyPem,
    SecretBytes, ServerCertRecord,
};

impl World {
    pub(super) fn key(&self) -> PrivateKeyPem {
        PrivateKeyPem::new(format!("key {}", self.draw()))
    }

    /// A drawn key that was compared with these certificates.
    pub(super) fn compared_key<const N: usize>(&self, with: [Fingerprint; N]) -> ComparedKey {
        ComparedKey {
            spki_sha256: SpkiSha256::from_bytes(self.digest()),
            with: with.into(),
        }
    }

    fn server_cert(&self) -> ServerCertRecord {
        ServerCertRecord {
            fingerprint: Fingerprint::from_bytes(self.digest()),
            chain_pem: format!("leaf {}\nchain\n", self.draw()),
            not_after: at(500),
        }
    }

    /// The key under a fingerprint, as the store gives it.
    pub(super) async fn stored_key(&self, certificate: Fingerprint) -> Option<String> {
        let key = self.store.private_key(&certificate).await.unwrap();
        key.map(|key| key.expose().to_owned())
    }

    fn uploaded<const N: usize>(&self, compared_with: [Fingerprint; N]) -> CaOrigin {
        CaOrigin::Uploaded(self.compared_key(compared_with))
    }

    pub(super) fn ca(&self, seconds: i64, state: CaState) -> CaRecord {
        CaRecord {
            fingerprint: Fingerprint::from_bytes(self.digest()),
            certificate_pem: format!("-----BEGIN CERTIFICATE-----\nCA {}\n", self.draw()),
            state,
            not_after: at(1_000_000),
            created_at: at(seconds),
        }
    }

    pub(super) async fn ca_states(&self) -> Vec<(Fingerprint, CaState)> {
        let cas = self.store.cas().await.unwrap();
        cas.into_iter()
            .map(|ca| (ca.fingerprint, ca.state))
            .collect()
    }
}

pub async fn the_server_certificate_is_replaced(world: World) {
    assert!(world.store.server_cert().await.unwrap().is_none());
    let mut replaced = None;
    for is_first in [true, false] {
        let (cert, key) = (world.server_cert(), world.key());
        let compared = world.compared_key([]);
        let told = Told::platform(&["server_cert_uploaded"]);
        let put = world
            .commits(world.change(), told, async |change| {
                let put = world
                    .store
                    .put_server_cert(change, cert.clone(), compared, key.clone());
                put.await
            })
            .await;
        assert_eq!(put, is_first);
        let read = world.store.server_cert().await.unwrap().unwrap();
        assert_eq!(read, cert);
        let stored = world.stored_key(cert.fingerprint).await;
        assert_eq!(stored.as_deref(), Some(key.expose()));
        if let Some(before) = replaced.replace(cert.fingerprint) {
            assert_eq!(
                world.stored_key(before).await,
                None,
                "it went with its certificate"
            );
        }
    }
}

pub async fn a_new_active_ca_makes_the_one_before_retire(world: World) {
    assert!(world.store.cas().await.unwrap().is_empty());
    let mut states = Vec::new();
    for (seconds, state, is_uploaded) in [
        (1, CaState::Active, false),
        (2, CaState::Prepared, true),
        (3, CaState::Active, true),
    ] {
        let (ca, key) = (world.ca(seconds, state), world.key());
        let (origin, told) = if is_uploaded {
            let known = world.ca_states().await;
            let compared = ComparedKey {
                with: known.into_iter().map(|(ca, _)| ca).collect(),
                ..world.compared_key([])
            };
            (CaOrigin::Uploaded(compared), "platform_ca_uploaded")
        } else {
            (CaOrigin::Generated, "platform_ca_generated")
        };
        let told = Told::platform(&[told]);
        let stored = world
            .commits(world.change(), told, async |change| {
                world
                    .store
                    .add_ca(change, ca.clone(), key.clone(), origin)
                    .await
            })
            .await;
        assert_eq!(stored, state);
        assert_eq!(world.store.cas().await.unwrap().remove(0), ca);
        let stored = world.stored_key(ca.fingerprint).await;
        assert_eq!(stored.as_deref(), Some(key.expose()));
        states.insert(0, (ca.fingerprint, state));
        assert_eq!(states.len(), world.ca_states().await.len());
    }
    states[2].1 = CaState::Retiring;
    assert_eq!(world.ca_states().await, states);
}

pub async fn a_ca_is_stored_once(world: World) {
    let ca = world.ca(1, CaState::Active);
    let stored = world
        .store
        .add_ca(world.change(), ca.clone(), world.key(), CaOrigin::Generated);
    stored.await.unwrap();
    let newer = world.ca(2, CaState::Active);
    let again = CaRecord {
        fingerprint: ca.fingerprint,
        ..newer
    };
    let known = Conflict::CaRotation(RotationRule::Known {
        fingerprint: ca.fingerprint,
    });
    world
        .conflicts(world.change(), known, async |change| {
            world
                .store
                .add_ca(change, again, world.key(), world.uploaded([]))
                .await
        })
        .await;
    let retired = world.ca(3, CaState::Retired);
    let state = retired.state;
    let not_new = Conflict::CaRotation(RotationRule::NewState { state });
    world
        .conflicts(world.change(), not_new, async |change| {
            world
                .store
                .add_ca(change, retired, world.key(), world.uploaded([]))
                .await
        })
        .await;
    let active = (ca.fingerprint, CaState::Active);
    assert_eq!(world.ca_states().await, [active]);
    let nobodys = Fingerprint::from_bytes(world.digest());
    assert_eq!(world.stored_key(nobodys).await, None);
}

pub async fn a_key_that_was_not_compared_with_every_certificate_is_refused(world: World) {
    let store = &world.store;
    let server = world.server_cert();
    let put = store.put_server_cert(
        world.change(),
        server.clone(),
        world.compared_key([]),
        world.key(),
    );
    put.await.unwrap();
    let first = world.ca(1, CaState::Active);
    let add = async |change, ca: &CaRecord, origin: CaOrigin| {
        store.add_ca(change, ca.clone(), world.key(), origin).await
    };
    let not_compared = Conflict::KeyNotCompared;
    world
        .conflicts(world.change(), not_compared, async |change| {
            add(change, &first, world.uploaded([])).await
        })
        .await;
    let uploaded = world.uploaded([server.fingerprint]);
    add(world.change(), &first, uploaded).await.unwrap();
    let retired = world.ca(2, CaState::Prepared);
    let generated = CaOrigin::Generated;
    add(world.change(), &retired, generated).await.unwrap();
    let retire = store.retire_ca(world.change(), &retired.fingerprint, true);
    retire.await.unwrap();

    let next = world.ca(3, CaState::Active);
    let (server, first, retired) = (server.fingerprint, first.fingerprint, retired.fingerprint);
    for with in [[first, retired], [server, retired], [server, first]] {
        let not_compared = Conflict::KeyNotCompared;
        world
            .conflicts(world.change(), not_compared, async |change| {
                add(change, &next, world.uploaded(with)).await
            })
            .await;
    }
    let put = async |change, compared| {
        let cert = world.server_cert();
        store
            .put_server_cert(change, cert, compared, world.key())
            .await
    };
    for with in [[first, server], [retired, server]] {
        let not_compared = Conflict::KeyNotCompared;
        world
            .conflicts(world.change(), not_compared, async |change| {
                put(change, world.compared_key(with)).await
            })
            .await;
    }
    let compared = world.compared_key([first, retired]);
    assert!(!put(world.change(), compared).await.unwrap());
}

pub async fn a_devices_key_is_no_cas_and_not_the_servers(world: World) {
    let tenant = world.tenant("acme").await;
    let device = world.paired_device(&tenant).await;
    let revoke = world.store.revoke_device(world.change(), &device.identity);
    revoke.await.unwrap();
    let compared = ComparedKey {
        spki_sha256: device.certificate.unwrap().spki_sha256,
        ..world.compared_key([])
    };
    let (store, origin) = (&world.store, CaOrigin::Uploaded(compared.clone()));
    world
        .conflicts(world.change(), Conflict::KeyReused, async |change| {
            let ca = world.ca(1, CaState::Active);
            store.add_ca(change, ca, world.key(), origin).await
        })
        .await;
    world
        .conflicts(world.change(), Conflict::KeyReused, async |change| {
            let (cert, key) = (world.server_cert(), world.key());
            store.put_server_cert(change, cert, compared, key).await
        })
        .await;
}

pub async fn of_uploads_at_once_each_has_seen_the_others_or_is_refused(world: World) {
    let mut calls = JoinSet::new();
    for seconds in 0..8 {
        let store = Arc::clone(&world.store);
        let (change, ca) = (world.change(), world.ca(seconds, CaState::Prepared));
        let (origin, key) = (world.uploaded([]), world.key());
        calls.spawn(async move { store.add_ca(change, ca, key, origin).await });
        let store = Arc::clone(&world.store);
        let (change, cert) = (world.change(), world.server_cert());
        let (compared, key) = (world.compared_key([]), world.key());
        calls.spawn(async move {
            let put = store.put_server_cert(change, cert, compared, key).await;
            put.map(|_| CaState::Prepared)
        });
    }
    let mut refused = 0;
    for outcome in calls.join_all().await {
        match outcome {
            Ok(_) => {}
            Err(Error::Conflict(Conflict::KeyNotCompared)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    let (cas, server) = (world.ca_states().await, world.store.server_cert().await);
    match (cas.as_slice(), server.unwrap()) {
        ([_], None) => assert_eq!(refused, 15),
        ([], Some(_)) => assert_eq!(refused, 8, "certificates follow one another"),
        (cas, server) => panic!("{cas:?} beside {server:?}"),
    }
}

pub async fn of_two_active_cas_at_once_one_stays_active(world: World) {
    let mut calls = JoinSet::new();
    for seconds in 0..8 {
        let store = Arc::clone(&world.store);
        let (change, ca) = (world.change(), world.ca(seconds, CaState::Active));
        let key = world.key();
        calls.spawn(async move {
            store
                .add_ca(change, ca, key, CaOrigin::Generated)
                .await
                .unwrap()
        });
    }
    calls.join_all().await;
    let states = world.ca_states().await;
    let in_state = |wanted| states.iter().filter(|(_, state)| *state == wanted).count();
    assert_eq!(in_state(CaState::Active), 1);
    assert_eq!(in_state(CaState::Retiring), 7);
}

pub async fn a_named_secret_is_made_once_whoever_asks(world: World) {
    let before = world.trail().await;
    let known = async || {
        let known = world.store.known_secret(NamedSecret::PairingPepper).await;
        known.unwrap().map(|secret| secret.expose().to_vec())
    };
    assert_eq!(known().await, None);
    let mut calls = JoinSet::new();
    for _ in 0..32 {
        let store = Arc::clone(&world.store);
        let fresh = SecretBytes::new(world.digest());
        calls.spawn(async move {
            let secret = store.named_secret(NamedSecret::PairingPepper, fresh).await;
            secret.unwrap().expose().to_vec()
        });
    }
    let mut secrets = calls.join_all().await;
    secrets.sort_unstable();
    secrets.dedup();
    assert_eq!(secrets.len(), 1);
    assert_eq!(known().await, secrets.pop());
    for name in [NamedSecret::SampleDigestKey, NamedSecret::TokenSigningKey] {
        let fresh = SecretBytes::new(world.digest());
        let other = world.store.named_secret(name, fresh.clone()).await;
        assert_eq!(other.unwrap().expose(), fresh.expose());
    }
    assert_eq!(world.trail().await, before);
}
