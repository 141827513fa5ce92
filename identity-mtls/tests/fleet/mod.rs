//! What the tests share: a CA with devices, forged certificates, and a server over real TLS.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot be set up fails"
)]

pub(crate) mod certificates;
pub(crate) mod counting;
pub(crate) mod network;

use std::sync::{Arc, Mutex};

use identity_mtls::{Denylist, DeviceCertVerifier, Refusal, RefusalObserver, TrustBundle};
use identity_pki::{DeviceId, DeviceIdentity, TbsSha256, TenantId};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use time::OffsetDateTime;
use time::macros::datetime;

/// When the tests take place.
pub(crate) const NOW: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

pub(crate) fn identity(device_id: &str) -> DeviceIdentity {
    DeviceIdentity::new(
        TenantId::new("acme").expect("tenant id"),
        DeviceId::new(device_id).expect("device id"),
    )
}

/// A published denylist of `entries`.
pub(crate) fn denylist(entries: impl IntoIterator<Item = TbsSha256>) -> Arc<Denylist> {
    let denylist = Denylist::new();
    assert!(denylist.begin_reload(NOW).publish(entries));
    Arc::new(denylist)
}

/// A verifier that accepts the devices of `authority`.
pub(crate) fn verifier(
    authority: &certificates::Authority,
    denylist: &Arc<Denylist>,
) -> Arc<DeviceCertVerifier> {
    let trust = authority.trust();
    Arc::new(DeviceCertVerifier::new(
        &provider(),
        trust,
        Arc::clone(denylist),
    ))
}

/// A bundle of several CAs.
pub(crate) fn trust(authorities: &[&certificates::Authority]) -> TrustBundle {
    let certificates = authorities.iter().map(|a| a.ca.certificate().clone());
    TrustBundle::new(certificates).expect("trust bundle")
}

/// An observer that keeps what it was told.
#[derive(Clone, Default)]
pub(crate) struct Refusals(pub(crate) Arc<Mutex<Vec<Refusal>>>);

impl RefusalObserver for Refusals {
    fn refused(&self, refusal: &Refusal) {
        self.0.lock().expect("lock").push(refusal.clone());
    }
}
