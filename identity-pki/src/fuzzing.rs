//! Entry points for the fuzz targets under `fuzz/`, which are also fed the corpora by an ordinary
//! test. Not part of the public interface.

use rustls_pki_types::SignatureVerificationAlgorithm;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::{FromDer as _, X509Certificate};

#[cfg(feature = "pairing-code")]
use crate::PairingCode;
use crate::{
    CaCertificate, CsrPolicy, CsrReason, DeviceIdentity, ECDSA_P256_SHA256, Error, PemRule,
    ServerCertificate, ServerCertificateRule, ValidatedCsr, csr, pem,
};

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

/// The check of a proof of possession, of any message, for test vectors.
pub fn proof_of_possession(
    key: &[u8],
    message: &[u8],
    signature: &[u8],
    verifier: &dyn SignatureVerificationAlgorithm,
) -> Result<(), CsrReason> {
    csr::check_signature(key, message, signature, verifier)
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

/// An uploaded CA certificate, in DER or PEM: what is accepted, an independent parser reads as a CA
/// with the same key and subject, and our own PEM of it is accepted as the same.
pub fn ca_upload(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).ok().map(CaCertificate::from_pem);
    for verdict in [Some(CaCertificate::from_der(bytes)), text]
        .into_iter()
        .flatten()
    {
        match verdict {
            Ok(ca) => {
                let read = independent_certificate(ca.der(), |certificate| {
                    assert!(certificate.is_ca());
                    assert_eq!(certificate.public_key().raw, ca.spki_der());
                    assert_eq!(certificate.subject().as_raw(), ca.subject_der());
                });
                assert!(read, "an independent parser reads it");
                assert_eq!(CaCertificate::from_pem(&ca.pem()), Ok(ca));
            }
            Err(error) => assert!(error.to_string().len() < 2_000),
        }
    }
}

/// A certificate chain for the server, as an operator uploads it: what is accepted reads the same
/// again in our own PEM.
pub fn server_certificate(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match ServerCertificate::from_pem_chain(text, None) {
        Ok(certificate) => {
            let chain = certificate.chain_der().iter();
            let pem: String = chain.map(|der| pem::encode("CERTIFICATE", der)).collect();
            match ServerCertificate::from_pem_chain(&pem, None) {
                // Ours breaks the lines, which takes a few bytes more.
                Err(Error::ServerCertificate(ServerCertificateRule::Pem(PemRule::TooLarge {
                    ..
                }))) => {}
                again => assert_eq!(again.as_ref(), Ok(&certificate)),
            }
            // In order, it stays so.
            if let Ok(arranged) = certificate.arranged(&[ECDSA_P256_SHA256]) {
                let again = arranged.clone().arranged(&[ECDSA_P256_SHA256]);
                let again = again.map(|again| again.chain_pem());
                assert_eq!(again, Ok(arranged.chain_pem()));
            }
        }
        Err(error) => assert!(error.to_string().len() < 2_000),
    }
}

/// A typed pairing code: one canonical form, whose other spellings are the same code, and an error
/// that says nothing of what was typed.
#[cfg(feature = "pairing-code")]
pub fn pairing_code(bytes: &[u8]) {
    let Ok(typed) = std::str::from_utf8(bytes) else {
        return;
    };
    match PairingCode::parse(typed) {
        Ok(code) => {
            let canonical = code.as_str();
            let in_alphabet = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
            assert!(canonical.len() == 9 && canonical.bytes().all(in_alphabet));
            for spelling in [canonical.to_owned(), canonical.to_lowercase()] {
                let again = PairingCode::parse(&spelling).map(|code| code.as_str().to_owned());
                assert_eq!(again.as_deref(), Ok(canonical));
            }
            let letters = typed.bytes().filter(u8::is_ascii_alphanumeric);
            assert!(
                letters
                    .map(|byte| byte.to_ascii_uppercase())
                    .eq(canonical.bytes())
            );
        }
        // One value for all that can be typed.
        Err(error) => assert_eq!(error, Error::PairingCode),
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

/// Shows `look` the certificate as x509-parser reads it; `false` when it does not.
fn independent_certificate(der: &[u8], look: impl FnOnce(&X509Certificate<'_>)) -> bool {
    match X509Certificate::from_der(der) {
        Ok((&[], certificate)) => {
            look(&certificate);
            true
        }
        _ => false,
    }
}
