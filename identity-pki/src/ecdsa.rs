//! ECDSA over the curves of a CA's key: its hashes, and `ECDSA-Sig-Value` (RFC 3279 §2.2.3).

use const_oid::ObjectIdentifier;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::der::{self, DerError, Element, Reader, tag};
use crate::{Curve, oid};

/// The hash by which ecdsa-with-SHA256, ecdsa-with-SHA384 or ecdsa-with-SHA512 signs. Each goes with
/// any curve (RFC 5758 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    pub(crate) const fn signature_oid(self) -> ObjectIdentifier {
        match self {
            Self::Sha256 => oid::ECDSA_WITH_SHA256,
            Self::Sha384 => oid::ECDSA_WITH_SHA384,
            Self::Sha512 => oid::ECDSA_WITH_SHA512,
        }
    }

    /// The hash of a signature algorithm; otherwise the algorithm's name.
    pub(crate) fn of_algorithm(
        algorithm: &Element<'_>,
    ) -> Result<Result<Self, ObjectIdentifier>, DerError> {
        let mut fields = algorithm.reader();
        let found = fields
            .element(tag::OBJECT_IDENTIFIER)?
            .object_identifier()?;
        let mut hashes = Self::ALL.into_iter();
        let Some(hash) = hashes.find(|hash| hash.signature_oid() == found) else {
            return Ok(Err(found));
        };
        // Without parameters, not even NULL (RFC 5758 §3.2).
        fields.finish()?;
        Ok(Ok(hash))
    }

    pub(crate) fn digest(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(message).to_vec(),
            Self::Sha384 => Sha384::digest(message).to_vec(),
            Self::Sha512 => Sha512::digest(message).to_vec(),
        }
    }
}

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
