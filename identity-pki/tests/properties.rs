//! Properties of the whole way from a request to a certificate.

#![cfg(feature = "x509")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // It is all test code.

mod support;

use std::convert::Infallible;
use std::sync::LazyLock;

use identity_pki::{
    CsrPolicy, DeviceCertificate, DeviceId, DeviceIdentity, ECDSA_P256_SHA256, IssuedCertificate,
    PlatformCa, TenantId, Terms,
};
use proptest::prelude::*;
use rand_core::{TryCryptoRng, TryRng};
use support::NOW;
use support::der::{
    BASIC_CONSTRAINTS, DIGITAL_SIGNATURE, EXT_KEY_USAGE, KEY_USAGE, client_auth, common_name,
    extension, seq, tlv,
};
use support::request::Request;
use time::Duration;
use x509_cert::der::{Decode as _, Encode as _};

static CA: LazyLock<PlatformCa> = LazyLock::new(support::ca);

/// Randomness that a test can repeat.
struct Repeatable(u64);

impl TryRng for Repeatable {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.try_next_u64()? >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self
            .0
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            *byte = self.try_next_u64()?.to_be_bytes()[0];
        }
        Ok(())
    }
}

impl TryCryptoRng for Repeatable {}

fn identities() -> impl Strategy<Value = DeviceIdentity> {
    ("[a-z][a-z0-9-]{1,62}", "[a-z0-9_-]{1,64}").prop_map(|(tenant, device)| {
        DeviceIdentity::new(
            TenantId::new(tenant).unwrap(),
            DeviceId::new(device).unwrap(),
        )
    })
}

/// Requests that the gate takes: any subject, some of the tolerated attributes and extensions.
fn honest_requests() -> impl Strategy<Value = Request> {
    let texts = prop::option::of("[ -~]{0,40}");
    let extensions = prop::collection::vec(any::<bool>(), 3);
    ("\\PC{0,30}", texts, extensions, any::<bool>()).prop_map(|(name, text, some, critical)| {
        let all = [
            extension(BASIC_CONSTRAINTS, critical, &seq(&[])),
            extension(KEY_USAGE, critical, &DIGITAL_SIGNATURE),
            extension(EXT_KEY_USAGE, critical, &client_auth()),
        ];
        let some: Vec<&[u8]> = all
            .iter()
            .zip(some)
            .filter_map(|(extension, there)| there.then_some(extension.as_slice()))
            .collect();
        let mut request = Request::new().with(|request| request.subject = common_name(&name));
        if let Some(text) = text {
            let password = tlv(0x0c, &[text.as_bytes()]);
            request = request.with_attribute("1.2.840.113549.1.9.7", &[&password]);
        }
        if some.is_empty() {
            request
        } else {
            request.with_extensions(&some)
        }
    })
}

fn issue(request: &[u8], identity: &DeviceIdentity, seed: u64) -> IssuedCertificate {
    let csr = CsrPolicy::new(ECDSA_P256_SHA256)
        .check_der(request)
        .unwrap();
    let mut rng = Repeatable(seed);
    CA.issue(&csr, identity, &support::device_terms(), &mut rng)
        .unwrap()
}

/// As a server judges it: by the profile, and by the path to the CA.
fn is_accepted(certificate: &[u8]) -> bool {
    DeviceCertificate::from_der(certificate).is_ok()
        && support::path::webpki(CA.certificate().der(), certificate, NOW).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn an_honest_request_passes_and_other_parsers_agree_on_it(request in honest_requests()) {
        let der = request.der();
        let csr = CsrPolicy::new(ECDSA_P256_SHA256).check_der(&der).unwrap();
        prop_assert_eq!(csr.spki_der(), &request.spki);
        identity_pki::fuzzing::csr_der(&der);

        let foreign = x509_cert::request::CertReq::from_der(&der).unwrap();
        prop_assert_eq!(foreign.to_der().unwrap(), der);
        prop_assert_eq!(foreign.info.public_key.to_der().unwrap(), csr.spki_der());
    }

    #[test]
    fn a_request_with_one_byte_changed_is_refused(
        request in honest_requests(),
        position in any::<prop::sample::Index>(),
        change in 1..=255_u8,
    ) {
        let mut der = request.der();
        *position.get_mut(&mut der) ^= change;
        prop_assert!(CsrPolicy::new(ECDSA_P256_SHA256).check_der(&der).is_err());
    }

    #[test]
    fn a_certificate_depends_on_the_request_through_its_key_alone(
        one in honest_requests(),
        other in honest_requests(),
        identity in identities(),
        seed in any::<u64>(),
    ) {
        let other = Request { key: one.key.clone(), spki: one.spki.clone(), ..other };
        let from_one = issue(&one.der(), &identity, seed);
        let from_other = issue(&other.der(), &identity, seed);
        prop_assert_eq!(from_one.der(), from_other.der());

        let another = issue(&Request::new().der(), &identity, seed);
        prop_assert_ne!(from_one.tbs_sha256(), another.tbs_sha256());
    }

    #[test]
    fn what_is_issued_reads_back_as_what_was_meant(
        identity in identities(),
        days in 1..2_000_i64,
        backdate in 0..100_000_i64,
        later in 0..100_000_000_i64,
    ) {
        let csr = support::csr();
        let (now, validity) = (NOW + Duration::seconds(later), Duration::days(days));
        let terms = Terms::new(now, validity, Duration::seconds(backdate));
        let issued = CA.issue(&csr, &identity, &terms, &mut support::rng()).unwrap();
        let read = DeviceCertificate::from_der(issued.der()).unwrap();
        prop_assert_eq!(read.identity(), &identity);
        prop_assert_eq!(read.spki_sha256(), csr.spki_sha256());
        prop_assert_eq!(read.serial(), issued.serial());
        let not_before = (now - Duration::seconds(backdate)).max(CA.certificate().not_before());
        prop_assert_eq!(read.not_before(), not_before);
        prop_assert_eq!(read.not_after(), (now + validity).min(CA.certificate().not_after()));

        let foreign = x509_cert::Certificate::from_der(issued.der()).unwrap();
        prop_assert_eq!(foreign.to_der().unwrap(), issued.der());
    }

    #[test]
    fn a_certificate_with_one_byte_changed_is_refused(
        position in any::<prop::sample::Index>(),
        change in 1..=255_u8,
    ) {
        let mut der = support::issue(&CA).der().to_vec();
        *position.get_mut(&mut der) ^= change;
        prop_assert!(!is_accepted(&der));
    }

    #[test]
    fn no_input_makes_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        identity_pki::fuzzing::csr_der(&bytes);
        identity_pki::fuzzing::csr_pem(&bytes);
        identity_pki::fuzzing::device_san_uri(&bytes);
        let _ = DeviceCertificate::from_der(&bytes);
    }
}

/// The same for every byte, instead of drawn ones: each bit of it turned, and all of them.
#[test]
fn no_byte_of_an_accepted_request_can_change() {
    let usage = extension(KEY_USAGE, true, &DIGITAL_SIGNATURE);
    let honest = Request::new().with_extensions(&[&usage]).der();
    let policy = CsrPolicy::new(ECDSA_P256_SHA256);
    policy.check_der(&honest).expect("it is honest");
    for position in 0..honest.len() {
        for change in (0..8).map(|bit| 1 << bit).chain([0xff]) {
            let mut der = honest.clone();
            der[position] ^= change;
            let verdict = policy.check_der(&der);
            assert!(verdict.is_err(), "byte {position}, {change:#04x}");
        }
    }
}

/// As for requests. The profile alone lets other serial numbers, times and keys pass; those are not
/// what the CA signed.
#[test]
fn no_byte_of_an_accepted_certificate_can_change() {
    let issued = support::issue(&CA);
    assert!(is_accepted(issued.der()));
    let mut passed_the_profile = 0;
    for position in 0..issued.der().len() {
        for change in (0..8).map(|bit| 1 << bit).chain([0xff]) {
            let mut der = issued.der().to_vec();
            der[position] ^= change;
            assert!(!is_accepted(&der), "byte {position}, {change:#04x}");
            passed_the_profile += usize::from(DeviceCertificate::from_der(&der).is_ok());
        }
    }
    assert!(
        passed_the_profile > 100,
        "{passed_the_profile} for the path"
    );
}
