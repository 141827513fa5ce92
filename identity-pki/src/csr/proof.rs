use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use rustls_pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};

use crate::der::{Element, tag};
use crate::ecdsa;
use crate::key::P256Spki;

use super::CsrReason;
use super::parse::Csr;

/// `ecdsa-with-SHA256` over P-256 in portable Rust, for callers who have no other library at hand.
///
/// aws-lc-rs verifies six times as fast; pass its algorithm to [`CsrPolicy`](crate::CsrPolicy) where
/// speed matters.
pub static ECDSA_P256_SHA256: &dyn SignatureVerificationAlgorithm = &EcdsaP256Sha256;

#[derive(Debug)]
struct EcdsaP256Sha256;

impl SignatureVerificationAlgorithm for EcdsaP256Sha256 {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let key = VerifyingKey::from_sec1_bytes(public_key).map_err(|_| InvalidSignature)?;
        let signature = Signature::from_der(signature).map_err(|_| InvalidSignature)?;
        key.verify(message, &signature)
            .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P256
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA256
    }
}

/// Proof of possession (RFC 2986 §3), over the raw bytes of the `CertificationRequestInfo`.
pub(super) fn check(
    csr: &Csr<'_>,
    key: &P256Spki,
    verifier: &dyn SignatureVerificationAlgorithm,
) -> Result<(), CsrReason> {
    check_algorithm(&csr.signature_algorithm, &verifier.signature_alg_id())?;
    check_signature(key.point(), csr.info, csr.signature, verifier)
}

/// Whether `signature` is that of `message` by the key whose uncompressed point is `key`.
pub(crate) fn check_signature(
    key: &[u8],
    message: &[u8],
    signature: &[u8],
    verifier: &dyn SignatureVerificationAlgorithm,
) -> Result<(), CsrReason> {
    if !ecdsa::is_sig_value(signature) {
        return Err(CsrReason::SignatureEncoding);
    }
    verifier
        .verify_signature(key, message, signature)
        .map_err(|InvalidSignature| CsrReason::Signature)
}

/// The request's algorithm is the verifier's, parameters included.
fn check_algorithm(found: &Element<'_>, expected: &AlgorithmIdentifier) -> Result<(), CsrReason> {
    if found.contents == expected.as_ref() {
        return Ok(());
    }
    let found = found
        .reader()
        .element(tag::OBJECT_IDENTIFIER)?
        .object_identifier()?;
    Err(CsrReason::SignatureAlgorithm {
        found: found.to_string(),
    })
}
