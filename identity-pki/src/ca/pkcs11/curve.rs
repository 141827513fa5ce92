use const_oid::ObjectIdentifier;
use sha2::{Digest as _, Sha256, Sha384};

use crate::ca::issue;
use crate::der::{self, tag};
use crate::oid;

use super::Pkcs11Reason;

/// The curves that a CA's key may be on (RFC 5480 §2.1.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NamedCurve {
    /// secp256r1, which signs with SHA-256.
    P256,
    /// secp384r1, which signs with SHA-384.
    P384,
}

impl NamedCurve {
    const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::P256 => oid::P256,
            Self::P384 => oid::P384,
        }
    }

    /// Octets of a coordinate, and of each half of a signature.
    const fn len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    /// `CKA_EC_PARAMS` (PKCS #11 §6.3.3): the `namedCurve` of `ECParameters` in DER.
    pub(super) fn parameters(self) -> Vec<u8> {
        der::object_identifier(self.oid())
    }

    pub(super) fn from_parameters(parameters: &[u8]) -> Result<Self, Pkcs11Reason> {
        [Self::P256, Self::P384]
            .into_iter()
            .find(|curve| curve.parameters() == parameters)
            .ok_or(Pkcs11Reason::Curve)
    }

    /// The `SubjectPublicKeyInfo` of the key whose `CKA_EC_POINT` this is: an OCTET STRING that
    /// holds the point, or, from older modules, the point itself. The two have different lengths.
    pub(super) fn spki(self, ec_point: &[u8]) -> Result<Vec<u8>, Pkcs11Reason> {
        let point_len = 1 + 2 * self.len();
        let point = match ec_point {
            [tag::OCTET_STRING, length, point @ ..]
                if point.len() == point_len && usize::from(*length) == point_len =>
            {
                point
            }
            point => point,
        };
        // 0x04 is "uncompressed" too (SEC 1 §2.3.3).
        if point.len() != point_len || point.first() != Some(&4) {
            return Err(Pkcs11Reason::Point);
        }
        Ok(der::sequence(&[
            &der::sequence(&[
                &der::object_identifier(oid::EC_PUBLIC_KEY),
                &der::object_identifier(self.oid()),
            ]),
            &der::tlv(tag::BIT_STRING, &[&[0], point]),
        ]))
    }

    /// What the token signs: the hash that goes with the curve (RFC 5758 §3.2).
    pub(super) fn digest(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256 => Sha256::digest(message).to_vec(),
            Self::P384 => Sha384::digest(message).to_vec(),
        }
    }

    /// The `ECDSA-Sig-Value` of what `CKM_ECDSA` answers: r and s, each as long as the curve's
    /// order (PKCS #11 §6.3.1).
    pub(super) fn sig_value(self, signature: &[u8]) -> Result<Vec<u8>, Pkcs11Reason> {
        let refused = || Pkcs11Reason::Signature {
            length: signature.len(),
        };
        let (r, s) = signature.split_at_checked(self.len()).ok_or_else(refused)?;
        if s.len() != self.len() {
            return Err(refused());
        }
        let integer = |number: &[u8]| {
            let positive = [&[0], number].concat();
            der::tlv(tag::INTEGER, &[issue::minimal(&positive)])
        };
        Ok(der::sequence(&[&integer(r), &integer(s)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURVES: [(NamedCurve, usize); 2] = [(NamedCurve::P256, 32), (NamedCurve::P384, 48)];

    #[test]
    fn a_point_comes_wrapped_or_bare() {
        for (curve, len) in CURVES {
            // The bare one begins as an OCTET STRING of its own length would.
            let length = u8::try_from(2 * len + 1).unwrap();
            let bare = [&[4, length, 4][..], &vec![7; 2 * len - 2]].concat();
            let wrapped = [&[4, length][..], &bare].concat();
            let spki = curve.spki(&bare).unwrap();
            assert!(spki.ends_with(&bare));
            assert_eq!(curve.spki(&wrapped).unwrap(), spki);
            let compressed = [&[2][..], &vec![7; len]].concat();
            let hybrid = [&[6][..], bare.get(1..).unwrap()].concat();
            for refused in [&compressed[..], &hybrid, &[], &bare[1..], &wrapped[1..]] {
                assert_eq!(curve.spki(refused), Err(Pkcs11Reason::Point));
            }
        }
    }

    #[test]
    fn a_curve_is_known_by_its_name_alone() {
        for (curve, _) in CURVES {
            assert_eq!(NamedCurve::from_parameters(&curve.parameters()), Ok(curve));
        }
        let p521 = ObjectIdentifier::new_unwrap("1.3.132.0.35");
        for refused in [&der::object_identifier(p521)[..], &[0x30, 0], &[5, 0], &[]] {
            assert_eq!(
                NamedCurve::from_parameters(refused),
                Err(Pkcs11Reason::Curve)
            );
        }
    }

    #[test]
    fn both_numbers_of_a_signature_are_positive_and_minimal() {
        let mut signature = [0; 64];
        signature[0] = 0x80;
        signature[63] = 1;
        let der = NamedCurve::P256.sig_value(&signature).unwrap();
        let high = [&[0x30, 38, 2, 33, 0, 0x80][..], &[0; 31], &[2, 1, 1]].concat();
        assert_eq!(der, high);
        for length in [0, 63, 65, 96] {
            let refused = NamedCurve::P256.sig_value(&vec![1; length]);
            assert_eq!(refused, Err(Pkcs11Reason::Signature { length }));
        }
    }
}
