//! `SIGNED{…}` (RFC 5280 §§4.1, 5.1): what certificates and CRLs have in common.

use crate::der::{self, tag};
use crate::{Curve, SigningError, ecdsa};

/// What was to be signed, the algorithm of the signer's curve, and the signature in its low-s form.
pub(super) fn assemble(
    curve: Curve,
    tbs: &[u8],
    signature: &[u8],
) -> Result<Vec<u8>, SigningError> {
    let signature = ecdsa::to_low_s(curve, signature).ok_or_else(|| {
        SigningError::new(format!("the signature is no ECDSA-Sig-Value over {curve}"))
    })?;
    let signature = der::tlv(tag::BIT_STRING, &[&[0], &signature]);
    Ok(der::sequence(&[
        tbs,
        &curve.signature_algorithm(),
        &signature,
    ]))
}
