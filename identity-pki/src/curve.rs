//! The curves of the keys that sign certificates, and what follows from a curve.

use const_oid::ObjectIdentifier;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;

use crate::der::{self, DerError, Element};
use crate::ecdsa::Hash;
use crate::oid;

/// The curve of a CA's key. It settles the signature algorithm: each curve has the hash of its own
/// strength and no other.
///
/// Devices' keys are on P-256 alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Curve {
    /// P-256 (secp256r1), which signs by ecdsa-with-SHA256 (RFC 5758 §3.2).
    P256,
    /// P-384 (secp384r1), which signs by ecdsa-with-SHA384 (RFC 5758 §3.2).
    P384,
}

/// The x coordinates of the generators, which their negations share (SEC 2 §§2.4.2, 2.5.1).
const P256_GENERATOR_X: [u8; 32] = [
    0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2,
    0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96,
];
const P384_GENERATOR_X: [u8; 48] = [
    0xaa, 0x87, 0xca, 0x22, 0xbe, 0x8b, 0x05, 0x37, 0x8e, 0xb1, 0xc7, 0x1e, 0xf3, 0x20, 0xad, 0x74,
    0x6e, 0x1d, 0x3b, 0x62, 0x8b, 0xa7, 0x9b, 0x98, 0x59, 0xf7, 0x41, 0xe0, 0x82, 0x54, 0x2a, 0x38,
    0x55, 0x02, 0xf2, 0x5d, 0xbf, 0x55, 0x29, 0x6c, 0x3a, 0x54, 0x5e, 0x38, 0x72, 0x76, 0x0a, 0xb7,
];

impl Curve {
    const ALL: [Self; 2] = [Self::P256, Self::P384];

    /// The curve of this name (RFC 5480 §2.1.1.1).
    pub(crate) fn named(name: ObjectIdentifier) -> Option<Self> {
        Self::ALL.into_iter().find(|curve| curve.name() == name)
    }

    pub(crate) const fn name(self) -> ObjectIdentifier {
        match self {
            Self::P256 => oid::P256,
            Self::P384 => oid::P384,
        }
    }

    /// The hash by which a CA of ours signs.
    pub(crate) const fn hash(self) -> Hash {
        match self {
            Self::P256 => Hash::Sha256,
            Self::P384 => Hash::Sha384,
        }
    }

    pub(crate) const fn signature_oid(self) -> ObjectIdentifier {
        self.hash().signature_oid()
    }

    /// The `AlgorithmIdentifier` of signatures by a key on this curve: without parameters, not even
    /// NULL (RFC 5758 §3.2).
    pub(crate) fn signature_algorithm(self) -> Vec<u8> {
        der::sequence(&[&der::object_identifier(self.signature_oid())])
    }

    /// The curve of the key that signs by `algorithm`; otherwise the algorithm's name.
    pub(crate) fn that_signs_by(
        algorithm: &Element<'_>,
    ) -> Result<Result<Self, ObjectIdentifier>, DerError> {
        Ok(match Hash::of_algorithm(algorithm)? {
            Ok(hash) => Self::ALL
                .into_iter()
                .find(|curve| curve.hash() == hash)
                .ok_or(hash.signature_oid()),
            Err(found) => Err(found),
        })
    }

    /// Octets of one coordinate.
    pub(crate) const fn coordinate_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    pub(crate) const fn generator_x(self) -> &'static [u8] {
        match self {
            Self::P256 => &P256_GENERATOR_X,
            Self::P384 => &P384_GENERATOR_X,
        }
    }

    /// Whether an uncompressed point (SEC 1 §2.3.3) is on the curve.
    pub(crate) fn holds(self, point: &[u8]) -> bool {
        match self {
            Self::P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(point).is_ok(),
            Self::P384 => p384::ecdsa::VerifyingKey::from_sec1_bytes(point).is_ok(),
        }
    }

    /// Whether `signature`, an `ECDSA-Sig-Value` in DER, is that of a message by the key `point`.
    ///
    /// A hash that is longer than the order of the curve counts by its leftmost bits, a shorter one
    /// as it is (FIPS 186-5 §6.4.2).
    pub(crate) fn verifies(self, point: &[u8], digest: &[u8], signature: &[u8]) -> bool {
        let verified = match self {
            Self::P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(point).and_then(|key| {
                key.verify_prehash(digest, &p256::ecdsa::Signature::from_der(signature)?)
            }),
            Self::P384 => p384::ecdsa::VerifyingKey::from_sec1_bytes(point).and_then(|key| {
                key.verify_prehash(digest, &p384::ecdsa::Signature::from_der(signature)?)
            }),
        };
        verified.is_ok()
    }
}

/// `P-256` or `P-384`, as FIPS 186-5 names them.
impl std::fmt::Display for Curve {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
        })
    }
}
