//! `ECDSA-Sig-Value` (RFC 3279 §2.2.3) over the curves of a CA's key.

use crate::Curve;
use crate::der::{self, DerError, Reader, tag};

/// A SEQUENCE of two positive integers in strict DER, whatever their values prove.
pub(crate) fn is_sig_value(signature: &[u8]) -> bool {
    matches!(integers(signature), Ok([r, s]) if is_positive(r) && is_positive(s))
}

fn integers(signature: &[u8]) -> Result<[&[u8]; 2], DerError> {
    let mut fields = der::check(Reader::new(signature), 1)?
        .expect(tag::SEQUENCE)?
        .reader();
    let r = fields.element(tag::INTEGER)?.contents;
    let s = fields.element(tag::INTEGER)?.contents;
    fields.finish()?;
    Ok([r, s])
}

fn is_positive(contents: &[u8]) -> bool {
    contents.first().is_some_and(|first| first & 0x80 == 0) && contents != [0]
}

/// The lower of the two encodings that every signature has, (r, s) and (r, n−s). `None` when the
/// bytes are no signature over `curve`.
pub(crate) fn to_low_s(curve: Curve, signature: &[u8]) -> Option<Vec<u8>> {
    if !is_sig_value(signature) {
        return None;
    }
    match curve {
        Curve::P256 => {
            let signature = p256::ecdsa::Signature::from_der(signature).ok()?;
            Some(signature.normalize_s().to_der().as_bytes().to_vec())
        }
        Curve::P384 => {
            let signature = p384::ecdsa::Signature::from_der(signature).ok()?;
            Some(signature.normalize_s().to_der().as_bytes().to_vec())
        }
    }
}

/// Whether this is a signature over `curve` whose s is at most half of the group order.
pub(crate) fn is_low_s(curve: Curve, signature: &[u8]) -> bool {
    is_sig_value(signature)
        && match curve {
            Curve::P256 => p256::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| signature.normalize_s() == signature),
            Curve::P384 => p384::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| signature.normalize_s() == signature),
        }
}
