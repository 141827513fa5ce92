//! The gate against parsers that share no code with it.

use identity_pki::{CsrPolicy, CsrReason};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::request::CertReq;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

use super::unsigned::Unsigned;

/// A request in DER, whose signature is not looked at. What the gate accepts, x509-cert and
/// x509-parser accept too, to the last byte, and all three find the same key.
pub fn csr_differential(bytes: &[u8]) -> Result<(), CsrReason> {
    let csr = CsrPolicy::new(&Unsigned::P256).check_der(bytes)?;
    assert_eq!(by_x509_cert(bytes).as_deref(), Some(csr.spki_der()));
    assert_eq!(by_x509_parser(bytes), Some(csr.spki_der()));
    Ok(())
}

/// The key of a request that x509-cert reads and writes back unchanged.
fn by_x509_cert(bytes: &[u8]) -> Option<Vec<u8>> {
    let request = CertReq::from_der(bytes).ok()?;
    let unchanged = request.to_der().ok()? == bytes;
    unchanged.then(|| request.info.public_key.to_der().ok())?
}

fn by_x509_parser(bytes: &[u8]) -> Option<&[u8]> {
    match X509CertificationRequest::from_der(bytes) {
        Ok((&[], request)) => Some(request.certification_request_info.subject_pki.raw),
        _ => None,
    }
}
