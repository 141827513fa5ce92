//! The public keys of devices and CAs: uncompressed P-256, and for CAs P-384 too.

use const_oid::ObjectIdentifier;

use crate::der::{self, DerError, Element, Reader, tag};
use crate::ecdsa::Hash;
use crate::oid;
use crate::{Curve, SpkiSha256};

/// The encoded length of a `SubjectPublicKeyInfo` with an uncompressed P-256 key: it holds nothing
/// that could vary but the two coordinates.
const SPKI_LEN: usize = 91;

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
    /// Another curve than those that are accepted here.
    #[error("the key is on curve {found}, not on {accepted} (RFC 5480 §2.1.1.1)")]
    Curve {
        /// The curve's object identifier.
        found: String,
        /// The names of the curves that are accepted.
        accepted: &'static str,
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
    /// Octets that are no form of a point on the key's curve.
    #[error("{length} octets are no uncompressed point on the curve (SEC 1 §2.3.4)")]
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

/// What keeps an element from being such a key: its encoding, or the key in it.
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
        let key = Parts::read(spki)?;
        match key.curve {
            Some(Curve::P256) => check_point(Curve::P256, key.point)?,
            Some(Curve::P384) | None => return Err(key.on_none_of("P-256").into()),
        }
        // The named curve and the checked point leave one encoding, of one length.
        let bytes = spki.raw.try_into().map_err(|_| KeyRule::PointEncoding {
            length: key.point.len(),
        })?;
        Ok(Self(bytes))
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

/// A CA's public key, on P-256 or P-384, as the `SubjectPublicKeyInfo` that it came in, byte for
/// byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CaKey {
    curve: Curve,
    spki: Vec<u8>,
}

impl CaKey {
    /// Judges a `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7) by its own algorithm identifier, as
    /// strictly as a device's.
    pub(crate) fn parse(spki: &Element<'_>) -> Result<Self, KeyError> {
        let key = Parts::read(spki)?;
        let curve = key.curve.ok_or_else(|| key.on_none_of("P-256 or P-384"))?;
        check_point(curve, key.point)?;
        Ok(Self {
            curve,
            spki: spki.raw.to_vec(),
        })
    }

    /// A `SubjectPublicKeyInfo` and nothing else.
    pub(crate) fn from_der(spki: &[u8]) -> Result<Self, KeyError> {
        Self::parse(&der::check(Reader::new(spki), 2)?.expect(tag::SEQUENCE)?)
    }

    pub(crate) const fn curve(&self) -> Curve {
        self.curve
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.spki
    }

    /// The `subjectPublicKey` alone: the point as SEC 1 §2.3.3 writes it, which ends the encoding.
    pub(crate) fn point(&self) -> &[u8] {
        let length = 1 + 2 * self.curve.coordinate_len();
        let (_, point) = self.spki.split_at(self.spki.len().saturating_sub(length));
        point
    }

    pub(crate) fn sha256(&self) -> SpkiSha256 {
        SpkiSha256::of_spki(&self.spki)
    }

    /// Whether `signature`, an `ECDSA-Sig-Value` in DER, is that of `message` by this key, with the
    /// hash that CAs of ours use.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verifies_with(self.curve.hash(), message, signature)
    }

    /// As [`verifies`](Self::verifies), with the hash that somebody else chose.
    pub(crate) fn verifies_with(&self, hash: Hash, message: &[u8], signature: &[u8]) -> bool {
        let digest = hash.digest(message);
        self.curve.verifies(self.point(), &digest, signature)
    }
}

/// The `SubjectPublicKeyInfo` of a key of our own, whose uncompressed point is `point`.
pub(crate) fn write_spki(curve: Curve, point: &[u8]) -> Vec<u8> {
    der::sequence(&[
        &der::sequence(&[
            &der::object_identifier(oid::EC_PUBLIC_KEY),
            &der::object_identifier(curve.name()),
        ]),
        &der::tlv(tag::BIT_STRING, &[&[0], point]),
    ])
}

/// A `SubjectPublicKeyInfo` for `id-ecPublicKey` with a named curve; the point is not judged yet.
struct Parts<'a> {
    curve_name: ObjectIdentifier,
    /// The curve, if it is one of ours.
    curve: Option<Curve>,
    point: &'a [u8],
}

impl<'a> Parts<'a> {
    fn read(spki: &Element<'a>) -> Result<Self, KeyError> {
        let mut fields = spki.reader();
        let algorithm = fields.element(tag::SEQUENCE)?;
        let point = fields.element(tag::BIT_STRING)?;
        fields.finish()?;
        let curve_name = curve_name(&algorithm)?;
        Ok(Self {
            curve_name,
            curve: Curve::named(curve_name),
            point: point.octet_aligned()?,
        })
    }

    fn on_none_of(&self, accepted: &'static str) -> KeyRule {
        KeyRule::Curve {
            found: self.curve_name.to_string(),
            accepted,
        }
    }
}

/// The one curve that an algorithm identifier names (RFC 5480 §2.1.1).
fn curve_name(algorithm: &Element<'_>) -> Result<ObjectIdentifier, KeyError> {
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
        tag::OBJECT_IDENTIFIER => Ok(parameters.object_identifier()?),
        tag::SEQUENCE => Err(KeyRule::ExplicitCurve.into()),
        tag::NULL => Err(KeyRule::ImplicitCurve.into()),
        _ => Err(KeyRule::MissingCurve.into()),
    }
}

fn check_point(curve: Curve, point: &[u8]) -> Result<(), KeyRule> {
    let one = curve.coordinate_len();
    match point {
        [0x00] => Err(KeyRule::PointAtInfinity),
        [0x02 | 0x03, coordinate @ ..] if coordinate.len() == one => Err(KeyRule::CompressedPoint),
        [0x06 | 0x07, coordinates @ ..] if coordinates.len() == 2 * one => {
            Err(KeyRule::HybridPoint)
        }
        [0x04, coordinates @ ..] if coordinates.len() == 2 * one => {
            if !curve.holds(point) {
                return Err(KeyRule::NotOnCurve);
            }
            if coordinates.starts_with(curve.generator_x()) {
                return Err(KeyRule::Generator);
            }
            Ok(())
        }
        _ => Err(KeyRule::PointEncoding {
            length: point.len(),
        }),
    }
}
