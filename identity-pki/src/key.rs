//! The one kind of public key that a device or its CA has: uncompressed P-256.

use p256::ecdsa::VerifyingKey;

use crate::SpkiSha256;
use crate::der::{self, DerError, Element, Reader, tag};
use crate::oid;

/// The encoded length of a `SubjectPublicKeyInfo` with an uncompressed P-256 key: it holds nothing
/// that could vary but the two coordinates.
const SPKI_LEN: usize = 91;

/// The x coordinate of the generator of P-256, which its negation shares (SEC 2 §2.4.2).
const GENERATOR_X: [u8; 32] = [
    0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2,
    0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96,
];

/// The rule that a public key breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRule {
    /// Not a key for `id-ecPublicKey`.
    #[error("the key's algorithm is {found}, not id-ecPublicKey (RFC 5480 §2.1.1)")]
    Algorithm {
        /// The algorithm's object identifier.
        found: String,
    },
    /// No curve is named.
    #[error("the key names no curve (RFC 5480 §2.1.1)")]
    MissingCurve,
    /// The curve is spelled out instead of named.
    #[error("the key has explicit curve parameters, which are forbidden (RFC 5480 §2.1.1)")]
    ExplicitCurve,
    /// The curve is inherited from somewhere else.
    #[error("the key has an implicit curve, which is forbidden (RFC 5480 §2.1.1)")]
    ImplicitCurve,
    /// A curve other than P-256.
    #[error("the key is on curve {found}, not on P-256 (RFC 5480 §2.1.1.1)")]
    Curve {
        /// The curve's object identifier.
        found: String,
    },
    /// The point at infinity.
    #[error("the key is the point at infinity (SEC 1 §3.2.2.1)")]
    PointAtInfinity,
    /// A point in compressed form.
    #[error("the key's point is compressed; it has to be uncompressed (RFC 5480 §2.2)")]
    CompressedPoint,
    /// A point in hybrid form.
    #[error("the key's point is in hybrid form, which is forbidden (RFC 5480 §2.2)")]
    HybridPoint,
    /// Octets that are no form of a P-256 point.
    #[error("{length} octets are no uncompressed P-256 point (SEC 1 §2.3.4)")]
    PointEncoding {
        /// How many octets were given.
        length: usize,
    },
    /// Coordinates that do not satisfy the curve's equation, or are not reduced.
    #[error("the key's point is not on the curve (SEC 1 §3.2.2.1)")]
    NotOnCurve,
    /// The generator or its negation, whose private keys everybody knows.
    #[error("the key is the curve's generator, whose private key is public (SEC 1 §3.2.1)")]
    Generator,
}

codes! {
    KeyRule {
        Self::Algorithm { .. } => "key_algorithm",
        Self::MissingCurve => "key_missing_curve",
        Self::ExplicitCurve => "key_explicit_curve",
        Self::ImplicitCurve => "key_implicit_curve",
        Self::Curve { .. } => "key_curve",
        Self::PointAtInfinity => "key_point_at_infinity",
        Self::CompressedPoint => "key_compressed_point",
        Self::HybridPoint => "key_hybrid_point",
        Self::PointEncoding { .. } => "key_point_encoding",
        Self::NotOnCurve => "key_not_on_curve",
        Self::Generator => "key_generator",
    }
}

/// What keeps an element from being a P-256 key: its encoding, or the key in it.
#[derive(Debug)]
pub(crate) enum KeyError {
    Der(DerError),
    Rule(KeyRule),
}

impl From<DerError> for KeyError {
    fn from(error: DerError) -> Self {
        Self::Der(error)
    }
}

impl From<KeyRule> for KeyError {
    fn from(rule: KeyRule) -> Self {
        Self::Rule(rule)
    }
}

/// A P-256 public key as the `SubjectPublicKeyInfo` that it came in, byte for byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct P256Spki([u8; SPKI_LEN]);

impl P256Spki {
    /// Judges a `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7) by its own algorithm identifier.
    pub(crate) fn parse(spki: &Element<'_>) -> Result<Self, KeyError> {
        let mut fields = spki.reader();
        let algorithm = fields.element(tag::SEQUENCE)?;
        let point = fields.element(tag::BIT_STRING)?;
        fields.finish()?;
        check_algorithm(&algorithm)?;
        check_point(point.octet_aligned()?)?;
        // The named curve and the checked point leave one encoding, of one length.
        let bytes = spki.raw.try_into().map_err(|_| KeyRule::PointEncoding {
            length: point.contents.len(),
        })?;
        Ok(Self(bytes))
    }

    /// A `SubjectPublicKeyInfo` and nothing else.
    pub(crate) fn from_der(spki: &[u8]) -> Result<Self, KeyError> {
        Self::parse(&der::check(Reader::new(spki), 2)?.expect(tag::SEQUENCE)?)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The `subjectPublicKey` alone: the point as SEC 1 §2.3.3 writes it.
    pub(crate) fn point(&self) -> &[u8] {
        let (_, point) = self.0.split_at(SPKI_LEN - 65);
        point
    }

    pub(crate) fn sha256(&self) -> SpkiSha256 {
        SpkiSha256::of_spki(&self.0)
    }
}

/// The `SubjectPublicKeyInfo` of a key of our own.
pub(crate) fn write_spki(key: &VerifyingKey) -> Vec<u8> {
    der::sequence(&[
        &der::sequence(&[
            &der::object_identifier(oid::EC_PUBLIC_KEY),
            &der::object_identifier(oid::P256),
        ]),
        &der::tlv(
            tag::BIT_STRING,
            &[&[0], key.to_sec1_point(false).as_bytes()],
        ),
    ])
}

fn check_algorithm(algorithm: &Element<'_>) -> Result<(), KeyError> {
    let mut fields = algorithm.reader();
    let found = fields
        .element(tag::OBJECT_IDENTIFIER)?
        .object_identifier()?;
    if found != oid::EC_PUBLIC_KEY {
        return Err(KeyRule::Algorithm {
            found: found.to_string(),
        }
        .into());
    }
    if fields.is_empty() {
        return Err(KeyRule::MissingCurve.into());
    }
    let parameters = fields.any()?;
    fields.finish()?;
    match parameters.tag {
        tag::OBJECT_IDENTIFIER => match parameters.object_identifier()? {
            oid::P256 => Ok(()),
            found => Err(KeyRule::Curve {
                found: found.to_string(),
            }
            .into()),
        },
        tag::SEQUENCE => Err(KeyRule::ExplicitCurve.into()),
        tag::NULL => Err(KeyRule::ImplicitCurve.into()),
        _ => Err(KeyRule::MissingCurve.into()),
    }
}

fn check_point(point: &[u8]) -> Result<(), KeyRule> {
    match point {
        [0x00] => Err(KeyRule::PointAtInfinity),
        [0x02 | 0x03, coordinate @ ..] if coordinate.len() == 32 => Err(KeyRule::CompressedPoint),
        [0x06 | 0x07, coordinates @ ..] if coordinates.len() == 64 => Err(KeyRule::HybridPoint),
        [0x04, coordinates @ ..] if coordinates.len() == 64 => {
            VerifyingKey::from_sec1_bytes(point).map_err(|_| KeyRule::NotOnCurve)?;
            if coordinates.starts_with(&GENERATOR_X) {
                return Err(KeyRule::Generator);
            }
            Ok(())
        }
        _ => Err(KeyRule::PointEncoding {
            length: point.len(),
        }),
    }
}
