//! A platform in the middle of a rotation, for client certificates to be decided on.

use std::sync::LazyLock;

use identity_mtls::{TrustBundle, fuzzing::Platform};
use identity_pki::CaCertificate;
use rustls::crypto::WebPkiSupportedAlgorithms;
use time::macros::datetime;

use super::unsigned::Unsigned;

/// Two CAs, and no look at signatures.
pub static PLATFORM: LazyLock<Platform> = LazyLock::new(|| Platform {
    trust: trust(),
    now: datetime!(2026-11-22 12:00 UTC),
    algorithms: WebPkiSupportedAlgorithms {
        all: &[&Unsigned::P256, &Unsigned::P384],
        mapping: &[],
    },
});

/// The CAs of the platform.
pub fn trust() -> TrustBundle {
    let pems = [
        include_str!("../platform/active_ca.pem"),
        include_str!("../platform/retiring_ca.pem"),
    ];
    let certificates = pems.map(|pem| CaCertificate::from_pem(pem).expect("a CA certificate"));
    TrustBundle::new(certificates).expect("usable trust anchors")
}
