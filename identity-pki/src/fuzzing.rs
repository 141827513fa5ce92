//! Entry points for the fuzz targets under `fuzz/`, which are also fed the corpora by an ordinary
//! test. Not part of the public interface.

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

use crate::{CsrPolicy, CsrReason, DeviceIdentity, ECDSA_P256_SHA256, ValidatedCsr};

/// A request in DER: the gate answers, and what it accepts an independent parser reads as the same
/// key.
pub fn csr_der(bytes: &[u8]) {
    let verdict = CsrPolicy::new(ECDSA_P256_SHA256).check_der(bytes);
    if let Ok(csr) = &verdict {
        assert_eq!(independent_spki(bytes), Some(csr.spki_der()));
    }
    check_verdict(&verdict);
    let _ = csr_attributes(bytes);
}

/// The walk over a request's attributes and extensions alone, which the check of the key hides from
/// most inputs.
pub fn csr_attributes(bytes: &[u8]) -> Result<(), CsrReason> {
    CsrPolicy::new(ECDSA_P256_SHA256).check_attributes_of(bytes)
}

/// A request as text.
pub fn csr_pem(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let policy = CsrPolicy::new(ECDSA_P256_SHA256);
        let verdict = policy.check_pem(text);
        check_verdict(&verdict);
        if verdict.is_ok() {
            assert_eq!(policy.check_text(text), verdict);
        }
    }
}

/// A subject alternative name: there is one spelling of each identity.
pub fn device_san_uri(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(identity) = DeviceIdentity::from_san_uri(text)
    {
        assert_eq!(identity.san_uri(), text);
    }
}

/// A refusal names its rule and stays short, whatever was sent.
fn check_verdict(verdict: &Result<ValidatedCsr, CsrReason>) {
    if let Err(reason) = verdict {
        assert!(CsrReason::codes().any(|code| code == reason.code()));
        assert!(reason.to_string().len() < 2_000);
    }
}

fn independent_spki(bytes: &[u8]) -> Option<&[u8]> {
    match X509CertificationRequest::from_der(bytes) {
        Ok((&[], request)) => Some(request.certification_request_info.subject_pki.raw),
        _ => None,
    }
}
