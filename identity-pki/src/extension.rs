//! X.509 extensions (RFC 5280 §4.2), as a request asks for them and a certificate carries them.

use std::fmt;

use const_oid::ObjectIdentifier;

use crate::der::{self, DerError, DerRule, Element, tag};
use crate::oid;

/// More extensions than any request or certificate of ours has.
const MAX_EXTENSIONS: usize = 16;

/// Nesting inside one extension's value.
const MAX_DEPTH: usize = 8;

/// The rule that a list of extensions breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExtensionRule {
    /// A list without extensions.
    #[error("the list of extensions is empty (RFC 5280 §4.1: SIZE (1..MAX))")]
    Empty,
    /// More extensions than anybody needs.
    #[error("there are more extensions than this crate's limit of {limit}")]
    TooMany {
        /// Extensions allowed.
        limit: usize,
    },
    /// An extension that is there twice.
    #[error("extension {oid} is there twice (RFC 5280 §4.2)")]
    Duplicate {
        /// Its object identifier.
        oid: String,
    },
}

codes! {
    ExtensionRule {
        Self::Empty => "extensions_empty",
        Self::TooMany { .. } => "extensions_too_many",
        Self::Duplicate { .. } => "extension_duplicate",
    }
}

/// What keeps an element from being a list of extensions.
#[derive(Debug)]
pub(crate) enum ExtensionError {
    Der(DerError),
    Rule(ExtensionRule),
}

impl From<DerError> for ExtensionError {
    fn from(error: DerError) -> Self {
        Self::Der(error)
    }
}

impl From<ExtensionRule> for ExtensionError {
    fn from(rule: ExtensionRule) -> Self {
        Self::Rule(rule)
    }
}

/// One extension; its value is strict DER.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extension<'a> {
    pub(crate) oid: ObjectIdentifier,
    pub(crate) critical: bool,
    pub(crate) value: Element<'a>,
}

/// Reads `Extensions ::= SEQUENCE SIZE (1..MAX) OF Extension`.
pub(crate) fn parse_list<'a>(list: &Element<'a>) -> Result<Vec<Extension<'a>>, ExtensionError> {
    let mut reader = list.reader();
    if reader.is_empty() {
        return Err(ExtensionRule::Empty.into());
    }
    let mut extensions: Vec<Extension<'a>> = Vec::new();
    while !reader.is_empty() {
        if extensions.len() == MAX_EXTENSIONS {
            return Err(ExtensionRule::TooMany {
                limit: MAX_EXTENSIONS,
            }
            .into());
        }
        let extension = parse_one(&reader.element(tag::SEQUENCE)?)?;
        if extensions
            .iter()
            .any(|earlier| earlier.oid == extension.oid)
        {
            return Err(ExtensionRule::Duplicate {
                oid: extension.oid.to_string(),
            }
            .into());
        }
        extensions.push(extension);
    }
    Ok(extensions)
}

fn parse_one<'a>(extension: &Element<'a>) -> Result<Extension<'a>, DerError> {
    let mut fields = extension.reader();
    let oid = fields
        .element(tag::OBJECT_IDENTIFIER)?
        .object_identifier()?;
    let critical = fields.default_false()?;
    let wrapper = fields.element(tag::OCTET_STRING)?;
    fields.finish()?;
    let value = der::check(wrapper.reader(), MAX_DEPTH)?;
    Ok(Extension {
        oid,
        critical,
        value,
    })
}

/// One `Extension`.
pub(crate) fn write(oid: ObjectIdentifier, critical: bool, value: &[u8]) -> Vec<u8> {
    let oid = der::object_identifier(oid);
    let value = der::octet_string(value);
    match critical {
        true => der::sequence(&[&oid, &der::boolean(true), &value]),
        false => der::sequence(&[&oid, &value]),
    }
}

/// The `AuthorityKeyIdentifier` (RFC 5280 §§4.2.1.1, 5.2.1) that names a CA by its key alone.
pub(crate) fn authority_key_identifier(key_id: &[u8]) -> Vec<u8> {
    let key_id = der::tlv(tag::context(0), &[key_id]);
    write(
        oid::AUTHORITY_KEY_IDENTIFIER,
        false,
        &der::sequence(&[&key_id]),
    )
}

/// `BasicConstraints` (RFC 5280 §4.2.1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BasicConstraints {
    pub(crate) ca: bool,
    pub(crate) has_path_len: bool,
    /// A path length that RFC 5280 does not know: `INTEGER (0..MAX)`.
    pub(crate) has_negative_path_len: bool,
}

pub(crate) fn basic_constraints(value: Element<'_>) -> Result<BasicConstraints, DerError> {
    let mut fields = value.expect(tag::SEQUENCE)?.reader();
    let ca = fields.default_false()?;
    let path_len = fields.optional(tag::INTEGER)?;
    fields.finish()?;
    let is_negative = |length: Element<'_>| length.contents.first().is_some_and(|b| b & 0x80 != 0);
    Ok(BasicConstraints {
        ca,
        has_path_len: path_len.is_some(),
        has_negative_path_len: path_len.is_some_and(is_negative),
    })
}

/// Whether `NameConstraints` (RFC 5280 §4.2.1.10) are about mail addresses, hosts and IP addresses
/// alone, in the form that RFC 5280 gives them: without minimum and maximum, no list empty.
pub(crate) fn constrains_hosts_only(value: Element<'_>) -> Result<bool, DerError> {
    const HOSTS: [u8; 3] = [tag::context(1), tag::context(2), tag::context(7)];
    let mut fields = value.expect(tag::SEQUENCE)?.reader();
    let mut hosts_only = !fields.is_empty();
    for number in [0, 1] {
        let Some(subtrees) = fields.optional(tag::context_constructed(number))? else {
            continue;
        };
        let mut subtrees = subtrees.reader();
        hosts_only &= !subtrees.is_empty();
        while !subtrees.is_empty() {
            let mut subtree = subtrees.element(tag::SEQUENCE)?.reader();
            hosts_only &= HOSTS.contains(&subtree.any()?.tag) && subtree.is_empty();
        }
    }
    fields.finish()?;
    Ok(hosts_only)
}

/// `KeyUsage` (RFC 5280 §4.2.1.3): bit 0, digitalSignature, is the highest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyUsage(u16);

const KEY_USAGES: [&str; 9] = [
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
];

impl KeyUsage {
    pub(crate) const DIGITAL_SIGNATURE: Self = Self(0x8000);
    /// keyCertSign and cRLSign.
    pub(crate) const CA: Self = Self(0x0600);
    const KEY_CERT_SIGN: u16 = 0x0400;
    const CRL_SIGN: u16 = 0x0200;

    pub(crate) fn parse(value: Element<'_>) -> Result<Self, DerError> {
        let value = value.expect(tag::BIT_STRING)?;
        let (unused, bits) = match *value.contents {
            [unused] => (unused, 0),
            [unused, bits] => (unused, u16::from_be_bytes([bits, 0])),
            [unused, first, second] => (unused, u16::from_be_bytes([first, second])),
            _ => return Err(value.error(DerRule::BitString)),
        };
        let kept = value
            .contents
            .last()
            .map_or(0, |last| last.trailing_zeros());
        if value.contents.len() > 1 && kept != u32::from(unused) {
            return Err(value.error(DerRule::NamedBitList));
        }
        Ok(Self(bits))
    }

    pub(crate) const fn can_sign_certificates(self) -> bool {
        self.0 & Self::KEY_CERT_SIGN != 0
    }

    pub(crate) const fn can_sign_crls(self) -> bool {
        self.0 & Self::CRL_SIGN != 0
    }

    /// Of the nine bits, only decipherOnly needs a second octet, and nothing here sets it.
    pub(crate) fn to_der(self) -> Vec<u8> {
        let [bits, _] = self.0.to_be_bytes();
        let unused = bits.trailing_zeros().to_be_bytes();
        let [.., unused] = unused;
        der::tlv(tag::BIT_STRING, &[&[unused, bits]])
    }
}

/// The names of the bits that are set.
impl fmt::Display for KeyUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bits = self.0;
        let mut names = Vec::new();
        for name in KEY_USAGES {
            if bits & 0x8000 != 0 {
                names.push(name);
            }
            bits <<= 1;
        }
        if bits != 0 {
            names.push("undefined bits");
        }
        match names.is_empty() {
            true => f.write_str("nothing"),
            false => f.write_str(&names.join(", ")),
        }
    }
}

/// `ExtKeyUsageSyntax` (RFC 5280 §4.2.1.12).
pub(crate) fn ext_key_usage(value: Element<'_>) -> Result<Vec<ObjectIdentifier>, DerError> {
    let mut purposes = value.expect(tag::SEQUENCE)?.reader();
    let mut found = Vec::new();
    while !purposes.is_empty() {
        found.push(
            purposes
                .element(tag::OBJECT_IDENTIFIER)?
                .object_identifier()?,
        );
    }
    Ok(found)
}

/// Object identifiers as a message shows them.
pub(crate) fn dotted(oids: &[ObjectIdentifier]) -> String {
    let texts: Vec<String> = oids.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

/// The URI of `GeneralNames` (RFC 5280 §4.2.1.6) that hold one `uniformResourceIdentifier` and
/// nothing else; otherwise how many names there are.
pub(crate) fn only_uri(value: Element<'_>) -> Result<Result<&[u8], usize>, DerError> {
    let mut names = value.expect(tag::SEQUENCE)?.reader();
    let mut count = 0;
    let mut uri = None;
    while !names.is_empty() {
        let name = names.any()?;
        count += 1;
        uri = (name.tag == tag::context(6)).then_some(name.contents);
    }
    Ok(match uri {
        Some(uri) if count == 1 => Ok(uri),
        _ => Err(count),
    })
}
