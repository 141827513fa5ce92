//! Keys and signatures as PKCS #11 encodes them.

use crate::ca::issue;
use crate::der::{self, Reader, tag};
use crate::{Curve, key};

use super::Pkcs11Reason;

/// `CKA_EC_PARAMS` (PKCS #11 §6.3.3): the `namedCurve` of `ECParameters` in DER.
pub(super) fn parameters(curve: Curve) -> Vec<u8> {
    der::object_identifier(curve.name())
}

/// The curve that `CKA_EC_PARAMS` name.
pub(super) fn curve(parameters: &[u8]) -> Result<Curve, Pkcs11Reason> {
    let name = der::check(Reader::new(parameters), 1)
        .and_then(|element| element.expect(tag::OBJECT_IDENTIFIER)?.object_identifier());
    name.ok().and_then(Curve::named).ok_or(Pkcs11Reason::Curve)
}

/// The `SubjectPublicKeyInfo` of the key whose `CKA_EC_POINT` this is: an OCTET STRING that holds
/// the point, or, from older modules, the point itself. The two have different lengths.
pub(super) fn spki(curve: Curve, ec_point: &[u8]) -> Result<Vec<u8>, Pkcs11Reason> {
    let point_len = 1 + 2 * curve.coordinate_len();
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
    Ok(key::write_spki(curve, point))
}

/// The `ECDSA-Sig-Value` of what `CKM_ECDSA` answers: r and s, each as long as the curve's order
/// (PKCS #11 §6.3.1).
pub(super) fn sig_value(curve: Curve, signature: &[u8]) -> Result<Vec<u8>, Pkcs11Reason> {
    let length = curve.coordinate_len();
    let integer = |number: &[u8]| {
        let positive = [&[0], number].concat();
        der::tlv(tag::INTEGER, &[issue::minimal(&positive)])
    };
    match signature.split_at_checked(length) {
        Some((r, s)) if s.len() == length => Ok(der::sequence(&[&integer(r), &integer(s)])),
        _ => Err(Pkcs11Reason::Signature {
            length: signature.len(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::signature::Signer as _;
    use p256::elliptic_curve::Generate as _;

    use super::*;

    const CURVES: [(Curve, usize); 2] = [(Curve::P256, 32), (Curve::P384, 48)];

    #[test]
    fn a_point_comes_wrapped_or_bare() {
        for (on, len) in CURVES {
            // The bare one begins as an OCTET STRING of its own length would.
            let length = u8::try_from(2 * len + 1).unwrap();
            let bare = [&[4, length, 4][..], &vec![7; 2 * len - 2]].concat();
            let wrapped = [&[4, length][..], &bare].concat();
            let meant = spki(on, &bare).unwrap();
            assert!(meant.ends_with(&bare));
            assert_eq!(spki(on, &wrapped).unwrap(), meant);
            let compressed = [&[2][..], &vec![7; len]].concat();
            let hybrid = [&[6][..], bare.get(1..).unwrap()].concat();
            for refused in [&compressed[..], &hybrid, &[], &bare[1..], &wrapped[1..]] {
                assert_eq!(spki(on, refused), Err(Pkcs11Reason::Point));
            }
        }
    }

    #[test]
    fn a_curve_is_known_by_its_name_alone() {
        for (named, _) in CURVES {
            assert_eq!(curve(&parameters(named)), Ok(named));
        }
        let p521 = const_oid::ObjectIdentifier::new_unwrap("1.3.132.0.35");
        for refused in [&der::object_identifier(p521)[..], &[0x30, 0], &[5, 0], &[]] {
            assert_eq!(curve(refused), Err(Pkcs11Reason::Curve));
        }
    }

    #[test]
    fn a_signature_is_encoded_as_other_libraries_do() {
        let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
        let p256 = p256::ecdsa::SigningKey::generate_from_rng(&mut rng);
        let p384 = p384::ecdsa::SigningKey::generate_from_rng(&mut rng);
        // One number in 256 begins with a zero octet, one in two has its highest bit set.
        for message in 0..=u8::MAX {
            let signature: p256::ecdsa::Signature = p256.sign(&[message]);
            let der = sig_value(Curve::P256, &signature.to_bytes()).unwrap();
            assert_eq!(der, signature.to_der().as_bytes());
            let signature: p384::ecdsa::Signature = p384.sign(&[message]);
            let der = sig_value(Curve::P384, &signature.to_bytes()).unwrap();
            assert_eq!(der, signature.to_der().as_bytes());
        }
    }

    #[test]
    fn both_numbers_of_a_signature_are_positive_and_minimal() {
        let mut signature = [0; 64];
        signature[0] = 0x80;
        signature[63] = 1;
        let der = sig_value(Curve::P256, &signature).unwrap();
        let high = [&[0x30, 38, 2, 33, 0, 0x80][..], &[0; 31], &[2, 1, 1]].concat();
        assert_eq!(der, high);
        for length in [0, 63, 65, 96] {
            let refused = sig_value(Curve::P256, &vec![1; length]);
            assert_eq!(refused, Err(Pkcs11Reason::Signature { length }));
        }
    }
}
