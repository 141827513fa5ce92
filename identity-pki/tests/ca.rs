//! The platform CA: terms, signers that misbehave, and the two steps of issuing.

#![cfg(feature = "x509")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // It is all test code.

mod support;

use identity_pki::{
    CA_VALIDITY, CaSigner, CsrPolicy, Curve, DEVICE_VALIDITY, DeviceCertificate, ECDSA_P256_SHA256,
    Error, Fingerprint, PlatformCa, ProfileRule, SigningError, SoftwareSigner, TbsSha256, Terms,
};
use p256::ecdsa::Signature;
use p256::pkcs8::{EncodePrivateKey as _, LineEnding};
use support::der::{bits, ecdsa_with_sha256, ecdsa_with_sha384, seq};
use support::leaf::other_s;
use support::request::Request;
use support::{NOW, SKEW, ca, ca_terms, csr, device_terms, identity, p384_signer, rng};
use time::Duration;
use time::macros::datetime;
use x509_parser::prelude::{FromDer as _, X509Certificate};

type Distort = fn(Vec<u8>) -> Result<Vec<u8>, SigningError>;

/// Signs as asked, and then does what `distort` does to the signature.
#[derive(Debug)]
struct Distorted {
    signer: SoftwareSigner,
    distort: Distort,
}

impl Distorted {
    fn new(distort: Distort) -> Box<Self> {
        let signer = SoftwareSigner::generate(&mut rng());
        Box::new(Self { signer, distort })
    }
}

impl CaSigner for Distorted {
    fn spki_der(&self) -> &[u8] {
        self.signer.spki_der()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        (self.distort)(self.signer.sign(message)?)
    }
}

fn to_high_s(signature: Vec<u8>) -> Result<Vec<u8>, SigningError> {
    let low = Signature::from_der(&signature).unwrap().normalize_s();
    Ok(other_s(&low).to_der().as_bytes().to_vec())
}

fn generate(signer: Box<dyn CaSigner>) -> Result<PlatformCa, Error> {
    PlatformCa::generate(signer, "Link Identity Device CA", &ca_terms(), &mut rng())
}

#[test]
fn a_signer_that_gives_high_s_still_makes_low_s_certificates() {
    let ca = generate(Distorted::new(to_high_s)).unwrap();
    let issued = support::issue(&ca);
    // Reading it back refuses high s.
    assert!(DeviceCertificate::from_der(issued.der()).is_ok());

    let signer = Distorted {
        signer: p384_signer(),
        distort: |signature| {
            let low = p384::ecdsa::Signature::from_der(&signature)
                .unwrap()
                .normalize_s();
            Ok(p384_other_s(low.to_der().as_bytes()))
        },
    };
    let issued = support::issue(&generate(Box::new(signer)).unwrap());
    assert!(DeviceCertificate::from_der(issued.der()).is_ok());
}

#[test]
fn a_p384_ca_signs_by_ecdsa_with_sha384_for_p256_devices() {
    let ca = generate(Box::new(p384_signer())).unwrap();
    assert_eq!(ca.certificate().curve(), Curve::P384);
    let unsigned = ca
        .certificate()
        .prepare(&csr(), &identity(), &device_terms(), &mut rng())
        .unwrap();
    assert_eq!(unsigned.curve(), Curve::P384);
    let by_p256 = SoftwareSigner::generate(&mut rng()).sign(unsigned.tbs());
    let issued = support::issue(&ca);
    let read = DeviceCertificate::from_der(issued.der()).unwrap();
    assert_eq!(read.issuer_curve(), Curve::P384);
    assert_eq!(read.spki_sha256(), csr().spki_sha256());

    // Any P-256 signature is in the range of P-384, but it is not the CA's.
    let refused = unsigned.complete(&by_p256.unwrap()).unwrap_err();
    assert!(matches!(refused, Error::Signing(_)), "{refused}");
    let webpki = |leaf: &[u8]| support::path::webpki(ca.certificate().der(), leaf, NOW);
    assert_eq!(webpki(issued.der()), Ok(()));
}

#[test]
fn a_signer_that_fails_or_signs_with_another_key_makes_no_ca() {
    let failing: [Distort; 5] = [
        |_| Err(SigningError::new("the token was pulled")),
        |_| Ok(Vec::new()),
        |signature| Ok([signature, vec![0]].concat()),
        |_| SoftwareSigner::generate(&mut rng()).sign(b"whatever"),
        |_| p384_signer().sign(b"whatever"),
    ];
    for distort in failing {
        let refused = generate(Distorted::new(distort)).unwrap_err();
        assert!(matches!(refused, Error::Signing(_)), "{refused}");
    }
}

#[test]
fn a_ca_is_loaded_with_its_own_key_only() {
    let signer = SoftwareSigner::generate(&mut rng());
    let key = signer.to_pkcs8_pem().unwrap();
    let ca = generate(Box::new(signer)).unwrap();
    let pem = ca.certificate().pem();

    let signer = SoftwareSigner::from_pkcs8_pem(&key).unwrap();
    let loaded = PlatformCa::load(&pem, Box::new(signer)).unwrap();
    assert_eq!(loaded.certificate(), ca.certificate());

    let other = SoftwareSigner::generate(&mut rng());
    let refused = PlatformCa::load(&pem, Box::new(other)).unwrap_err();
    assert!(matches!(refused, Error::CaKeyMismatch { .. }), "{refused}");
}

#[test]
fn each_generation_has_a_subject_and_a_serial_number_of_its_own() {
    let (first, second) = (ca(), ca());
    assert_ne!(
        first.certificate().subject_der(),
        second.certificate().subject_der()
    );
    assert_ne!(first.certificate().serial(), second.certificate().serial());
}

#[test]
fn a_ca_issues_within_its_validity_only() {
    let ca = ca();
    let issue = |now| {
        let terms = Terms::new(now, DEVICE_VALIDITY, SKEW);
        ca.issue(&csr(), &identity(), &terms, &mut rng())
    };
    let (first, last) = (ca.certificate().not_before(), ca.certificate().not_after());
    assert_eq!(last, NOW + CA_VALIDITY);
    for now in [first - Duration::SECOND, last + Duration::SECOND] {
        let refused = issue(now).unwrap_err();
        assert!(matches!(refused, Error::CaNotValid { .. }), "{refused}");
    }
    assert!(issue(first).is_ok() && issue(last).is_ok());
}

#[test]
fn a_certificate_is_never_valid_outside_the_validity_of_its_ca() {
    let ca = ca();
    let issue = |now| {
        let terms = Terms::new(now, DEVICE_VALIDITY, SKEW);
        ca.issue(&csr(), &identity(), &terms, &mut rng()).unwrap()
    };
    let (first, last) = (ca.certificate().not_before(), ca.certificate().not_after());
    assert_eq!(issue(last - Duration::DAY).not_after(), last);
    // Backdated into the time before the CA, nobody would accept it then.
    assert_eq!(issue(first).not_before(), first);
    assert_eq!(issue(first + SKEW / 2).not_before(), first);
}

#[test]
fn a_certificate_is_backdated_for_verifiers_whose_clocks_are_late() {
    let terms = Terms::new(NOW + Duration::DAY, DEVICE_VALIDITY, SKEW);
    let issued = ca().issue(&csr(), &identity(), &terms, &mut rng()).unwrap();
    assert_eq!(issued.not_before(), NOW + Duration::DAY - SKEW);
}

#[test]
fn impossible_terms_are_refused() {
    let ca = ca();
    for (validity, backdate) in [
        (Duration::ZERO, SKEW),
        (-Duration::DAY, SKEW),
        (DEVICE_VALIDITY, -SKEW),
        (Duration::MAX, SKEW),
        (DEVICE_VALIDITY, Duration::days(365 * 100)),
    ] {
        let terms = Terms::new(NOW, validity, backdate);
        let refused = ca
            .issue(&csr(), &identity(), &terms, &mut rng())
            .unwrap_err();
        assert!(matches!(refused, Error::Validity { .. }), "{refused}");
    }
    let long = "x".repeat(65);
    for name in ["", "a\nb", long.as_str()] {
        let signer = Box::new(SoftwareSigner::generate(&mut rng()));
        let refused = PlatformCa::generate(signer, name, &ca_terms(), &mut rng()).unwrap_err();
        assert!(matches!(refused, Error::CommonName { .. }), "{refused}");
    }
}

#[test]
fn parts_of_a_second_and_offsets_do_not_reach_the_certificate() {
    let now = NOW + Duration::milliseconds(999);
    let now = now.to_offset(time::UtcOffset::from_hms(5, 30, 0).unwrap());
    let terms = Terms::new(now, DEVICE_VALIDITY, SKEW);
    let issued = ca().issue(&csr(), &identity(), &terms, &mut rng()).unwrap();
    assert_eq!(issued.not_before(), NOW - SKEW);
    assert_eq!(issued.not_after(), NOW + DEVICE_VALIDITY);
}

#[test]
fn a_time_whose_year_in_utc_is_beyond_9999_is_no_validity() {
    for now in [
        datetime!(9999-12-31 23:30 -01:00),
        datetime!(-9999-01-01 00:30 +01:00),
    ] {
        let terms = Terms::new(now, Duration::SECOND, Duration::ZERO);
        let signer = Box::new(SoftwareSigner::generate(&mut rng()));
        let refused = PlatformCa::generate(signer, "CA", &terms, &mut rng()).unwrap_err();
        assert!(matches!(refused, Error::Validity { .. }), "{refused}");
    }
}

#[test]
fn a_key_service_signs_between_the_two_steps() {
    let signer = SoftwareSigner::generate(&mut rng());
    let key = signer.to_pkcs8_pem().unwrap();
    let ca = generate(Box::new(signer)).unwrap();
    let service = SoftwareSigner::from_pkcs8_pem(&key).unwrap();

    let unsigned = ca
        .certificate()
        .prepare(&csr(), &identity(), &device_terms(), &mut rng())
        .unwrap();
    let serial = unsigned.serial();
    let signature = service.sign(unsigned.tbs()).unwrap();
    let issued = unsigned.clone().complete(&signature).unwrap();
    assert_eq!(issued.serial(), serial);

    let webpki = |leaf: &[u8]| support::path::webpki(ca.certificate().der(), leaf, NOW);
    assert_eq!(webpki(issued.der()), Ok(()));
    // Either value of s will do.
    let high_s = to_high_s(signature.clone()).unwrap();
    assert_eq!(unsigned.clone().complete(&high_s), Ok(issued));

    let other = ca
        .certificate()
        .prepare(&csr(), &identity(), &device_terms(), &mut rng())
        .unwrap();
    let of_another = service.sign(other.tbs()).unwrap();
    let stranger = SoftwareSigner::generate(&mut rng());
    let by_a_stranger = stranger.sign(unsigned.tbs()).unwrap();
    for wrong in [
        &[][..],
        &[0x30, 0],
        &signature[1..],
        &of_another,
        &by_a_stranger,
    ] {
        let refused = unsigned.clone().complete(wrong).unwrap_err();
        assert!(matches!(refused, Error::Signing(_)), "{refused}");
    }
}

#[test]
fn a_rewritten_signature_changes_the_fingerprint_but_not_the_denied_hash() {
    rewritten_signature(&ca(), Curve::P256, &ecdsa_with_sha256(), |signature| {
        let rewritten = other_s(&Signature::from_der(signature).unwrap());
        rewritten.to_der().as_bytes().to_vec()
    });
    let p384 = generate(Box::new(p384_signer())).unwrap();
    rewritten_signature(&p384, Curve::P384, &ecdsa_with_sha384(), p384_other_s);
}

fn p384_other_s(signature: &[u8]) -> Vec<u8> {
    let signature = p384::ecdsa::Signature::from_der(signature).unwrap();
    let (r, s) = signature.split_scalars();
    let other = p384::ecdsa::Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap();
    other.to_der().as_bytes().to_vec()
}

fn rewritten_signature(
    ca: &PlatformCa,
    curve: Curve,
    algorithm: &[u8],
    other_s: fn(&[u8]) -> Vec<u8>,
) {
    let issued = support::issue(ca);
    let (_, parsed) = X509Certificate::from_der(issued.der()).unwrap();
    let tbs = parsed.tbs_certificate.as_ref();
    let rewritten = other_s(&parsed.signature_value.data);
    let twin = seq(&[tbs, algorithm, &bits(&rewritten)]);
    let webpki = |leaf: &[u8]| support::path::webpki(ca.certificate().der(), leaf, NOW);
    assert_eq!(webpki(issued.der()), Ok(()));
    assert_eq!(
        webpki(&twin),
        Ok(()),
        "it is a signature as good as the other"
    );

    assert_ne!(Fingerprint::of_certificate(&twin), issued.fingerprint());
    assert_eq!(TbsSha256::of_tbs(tbs), issued.tbs_sha256());
    let refused = DeviceCertificate::from_der(&twin).unwrap_err();
    assert_eq!(
        refused,
        Error::DeviceCertificate(ProfileRule::HighS { curve })
    );
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let signer = SoftwareSigner::generate(&mut rng());
    assert_eq!(format!("{signer:?}"), "SoftwareSigner { .. }");
    let key = signer.to_pkcs8_pem().unwrap();
    let error = SoftwareSigner::from_pkcs8_pem(&key.replace("PRIVATE", "PUBLIC")).unwrap_err();
    assert_eq!(error, Error::PrivateKey);
}

#[test]
fn nobody_gets_a_certificate_for_the_key_of_the_ca() {
    let request = Request::new();
    let key = request.key.to_pkcs8_pem(LineEnding::LF).unwrap();
    let ca = generate(Box::new(SoftwareSigner::from_pkcs8_pem(&key).unwrap())).unwrap();

    let taken = [ca.certificate().spki_sha256()];
    let policy = CsrPolicy::new(ECDSA_P256_SHA256).refuse_keys(&taken);
    let refused = policy.check_der(&request.der()).unwrap_err();
    assert_eq!(refused.code(), "key_refused");
}
