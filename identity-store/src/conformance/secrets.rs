use std::sync::Arc;

use identity_pki::{Fingerprint, RotationRule};
use tokio::task::JoinSet;

use super::fixtures::{World, at};
use super::witness::Told;
use crate::{
    CaOrigin, CaRecord, CaState, Conflict, NamedSecret, PrivateKeyPem, SecretBytes,
    ServerCertRecord,
};

impl World {
    pub(super) fn key(&self) -> PrivateKeyPem {
        PrivateKeyPem::new(format!("key {}", self.draw()))
    }

    /// The key under a fingerprint, as the store gives it.
    pub(super) async fn stored_key(&self, certificate: Fingerprint) -> Option<String> {
        let key = self.store.private_key(&certificate).await.unwrap();
        key.map(|key| key.expose().to_owned())
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
        let cert = ServerCertRecord {
            fingerprint: Fingerprint::from_bytes(world.digest()),
            chain_pem: format!("leaf {}\nchain\n", world.draw()),
            not_after: at(500),
        };
        let key = world.key();
        let told = Told::platform(&["server_cert_uploaded"]);
        let put = world
            .commits(world.change(), told, async |change| {
                let put = world
                    .store
                    .put_server_cert(change, cert.clone(), key.clone());
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
    for (seconds, state, origin) in [
        (1, CaState::Active, CaOrigin::Generated),
        (2, CaState::Prepared, CaOrigin::Uploaded),
        (3, CaState::Active, CaOrigin::Uploaded),
    ] {
        let (ca, key) = (world.ca(seconds, state), world.key());
        let told = Told::platform(&[match origin {
            CaOrigin::Generated => "platform_ca_generated",
            CaOrigin::Uploaded => "platform_ca_uploaded",
        }]);
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
                .add_ca(change, again, world.key(), CaOrigin::Uploaded)
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
                .add_ca(change, retired, world.key(), CaOrigin::Uploaded)
                .await
        })
        .await;
    let active = (ca.fingerprint, CaState::Active);
    assert_eq!(world.ca_states().await, [active]);
    let nobodys = Fingerprint::from_bytes(world.digest());
    assert_eq!(world.stored_key(nobodys).await, None);
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
