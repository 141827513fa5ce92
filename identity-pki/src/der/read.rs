use std::borrow::Cow;

use const_oid::ObjectIdentifier;

use super::tag;

/// Where an encoding leaves DER, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {rule}")]
pub struct DerError {
    /// The offset of the offending element from the beginning of the input, in bytes.
    pub offset: usize,
    /// The rule that it breaks.
    pub rule: DerRule,
}

impl DerError {
    /// The code of the rule.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.rule.code()
    }

    /// Every code that [`code`](Self::code) can answer.
    pub fn codes() -> impl Iterator<Item = &'static str> {
        DerRule::codes()
    }
}

/// The rule of the encoding that some bytes break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DerRule {
    /// The input ends inside an element, or before one that must be there.
    #[error("the input ends inside an element or before the next one (X.690 §§8.1.1, 8.9.2)")]
    Truncated,
    /// Bytes remain after the last element.
    #[error("{length} bytes are left over after the last element (X.690 §§8.1.1, 8.9.2)")]
    TrailingData {
        /// How many.
        length: usize,
    },
    /// The length 0x80 of BER.
    #[error("indefinite lengths are BER, not DER (X.690 §10.1)")]
    IndefiniteLength,
    /// A length in more octets than it needs.
    #[error("the length is not minimally encoded (X.690 §10.1)")]
    NonMinimalLength,
    /// A length of more than two octets; nothing that is read here is as long as that.
    #[error("a length of {octets} octets is over this crate's limit of two")]
    OversizedLength {
        /// Length octets after the first.
        octets: u8,
    },
    /// A tag number above 30; nothing that is read here uses one.
    #[error(
        "tag {tag:#04x} begins a multi-octet tag (X.690 §8.1.2.4), which no X.509 structure uses"
    )]
    HighTagNumber {
        /// The first identifier octet.
        tag: u8,
    },
    /// Another element than the structure asks for.
    #[error("tag {expected:#04x} was expected, not {found:#04x} (X.690 §8.1.2)")]
    UnexpectedTag {
        /// The identifier octet that belongs here.
        expected: u8,
        /// The one that was found.
        found: u8,
    },
    /// A tag that DER does not allow at all, such as a string in constructed form.
    #[error("tag {tag:#04x} is not allowed in DER (X.690 §10.2)")]
    ForbiddenTag {
        /// The identifier octet.
        tag: u8,
    },
    /// Structures within structures, deeper than any honest input.
    #[error("elements are nested deeper than this crate's limit of {limit} levels")]
    Depth {
        /// The limit.
        limit: usize,
    },
    /// A BOOLEAN other than 0x00 or 0xff.
    #[error("a BOOLEAN is one octet, 0x00 or 0xff (X.690 §11.1)")]
    Boolean,
    /// A field that carries its default value.
    #[error("a value equal to its DEFAULT is left out (X.690 §11.5)")]
    ExplicitDefault,
    /// An INTEGER without octets or with a redundant leading one.
    #[error("the INTEGER is not minimally encoded (X.690 §8.3.2)")]
    Integer,
    /// A BIT STRING with more than seven unused bits, or with unused bits that are not zero.
    #[error("the BIT STRING's unused bits are not in order (X.690 §11.2.1)")]
    BitString,
    /// A named bit list that keeps trailing zero bits.
    #[error("a named bit list has no trailing zero bits (X.690 §11.2.2)")]
    NamedBitList,
    /// A NULL with contents.
    #[error("NULL has no contents (X.690 §8.8.2)")]
    Null,
    /// An OBJECT IDENTIFIER that is empty, cut off, not minimal or longer than 39 octets.
    #[error("the OBJECT IDENTIFIER is malformed (X.690 §8.19)")]
    ObjectIdentifier,
    /// The elements of a SET OF are out of order.
    #[error("the elements of a SET OF are in ascending order (X.690 §11.6)")]
    SetOrder,
    /// A character string with characters that its type does not have.
    #[error("the character string has characters outside its type's alphabet (X.680 §41)")]
    CharacterString,
}

codes! {
    DerRule {
        Self::Truncated => "der_truncated",
        Self::TrailingData { .. } => "der_trailing_data",
        Self::IndefiniteLength => "der_indefinite_length",
        Self::NonMinimalLength => "der_non_minimal_length",
        Self::OversizedLength { .. } => "der_oversized_length",
        Self::HighTagNumber { .. } => "der_high_tag_number",
        Self::UnexpectedTag { .. } => "der_unexpected_tag",
        Self::ForbiddenTag { .. } => "der_forbidden_tag",
        Self::Depth { .. } => "der_depth",
        Self::Boolean => "der_boolean",
        Self::ExplicitDefault => "der_explicit_default",
        Self::Integer => "der_integer",
        Self::BitString => "der_bit_string",
        Self::NamedBitList => "der_named_bit_list",
        Self::Null => "der_null",
        Self::ObjectIdentifier => "der_object_identifier",
        Self::SetOrder => "der_set_order",
        Self::CharacterString => "der_character_string",
    }
}

/// Reads elements one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

/// One element: identifier, length and contents.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    /// The whole element as it stands in the input.
    pub(crate) raw: &'a [u8],
    pub(crate) contents: &'a [u8],
    pub(crate) offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self {
            rest: input,
            offset: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn error(&self, rule: DerRule) -> DerError {
        DerError {
            offset: self.offset,
            rule,
        }
    }

    /// Ends the reading; nothing may be left.
    pub(crate) fn finish(self) -> Result<(), DerError> {
        match self.rest.len() {
            0 => Ok(()),
            length => Err(self.error(DerRule::TrailingData { length })),
        }
    }

    /// The next element, whatever its tag.
    pub(crate) fn any(&mut self) -> Result<Element<'a>, DerError> {
        let (header_len, contents_len) = header(self.rest).map_err(|rule| self.error(rule))?;
        let truncated = self.error(DerRule::Truncated);
        let (raw, rest) = self
            .rest
            .split_at_checked(header_len + contents_len)
            .ok_or(truncated)?;
        let (&tag, _) = raw.split_first().ok_or(truncated)?;
        let (_, contents) = raw.split_at_checked(header_len).ok_or(truncated)?;
        let element = Element {
            tag,
            raw,
            contents,
            offset: self.offset,
        };
        self.rest = rest;
        self.offset += raw.len();
        Ok(element)
    }

    /// The next element, which has this tag.
    pub(crate) fn element(&mut self, expected: u8) -> Result<Element<'a>, DerError> {
        match self.rest.first() {
            None => Err(self.error(DerRule::Truncated)),
            Some(&found) if found != expected => {
                Err(self.error(DerRule::UnexpectedTag { expected, found }))
            }
            Some(_) => self.any(),
        }
    }

    /// The next element if it has this tag.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, DerError> {
        if self.rest.first() == Some(&tag) {
            self.any().map(Some)
        } else {
            Ok(None)
        }
    }

    /// `BOOLEAN DEFAULT FALSE`: absent or TRUE.
    pub(crate) fn default_false(&mut self) -> Result<bool, DerError> {
        match self.optional(tag::BOOLEAN)? {
            None => Ok(false),
            Some(element) => match element.contents {
                [0xff] => Ok(true),
                [0x00] => Err(element.error(DerRule::ExplicitDefault)),
                _ => Err(element.error(DerRule::Boolean)),
            },
        }
    }
}

/// The lengths of header and contents of the element at the beginning of `input`.
fn header(input: &[u8]) -> Result<(usize, usize), DerRule> {
    let (&tag, rest) = input.split_first().ok_or(DerRule::Truncated)?;
    if tag & 0x1f == 0x1f {
        return Err(DerRule::HighTagNumber { tag });
    }
    let (&first, rest) = rest.split_first().ok_or(DerRule::Truncated)?;
    match (first, rest) {
        (0..=0x7f, _) => Ok((2, usize::from(first))),
        (0x80, _) => Err(DerRule::IndefiniteLength),
        (0x81, &[length, ..]) if length >= 0x80 => Ok((3, usize::from(length))),
        (0x82, &[high, low, ..]) if high > 0 => Ok((4, usize::from(high) << 8 | usize::from(low))),
        (0x81, [_, ..]) | (0x82, [_, _, ..]) | (0x83..=0xff, [0, ..]) => {
            Err(DerRule::NonMinimalLength)
        }
        (0x81 | 0x82, _) | (0x83..=0xff, []) => Err(DerRule::Truncated),
        (0x83..=0xff, _) => Err(DerRule::OversizedLength {
            octets: first & 0x7f,
        }),
    }
}

impl<'a> Element<'a> {
    pub(crate) fn error(&self, rule: DerRule) -> DerError {
        DerError {
            offset: self.offset,
            rule,
        }
    }

    /// The element itself, if it has this tag.
    pub(crate) fn expect(self, expected: u8) -> Result<Self, DerError> {
        match self.tag {
            found if found == expected => Ok(self),
            found => Err(self.error(DerRule::UnexpectedTag { expected, found })),
        }
    }

    /// Reads the contents of a constructed element, or of a string that wraps an encoding.
    pub(crate) fn reader(&self) -> Reader<'a> {
        Reader {
            rest: self.contents,
            offset: self.offset + (self.raw.len() - self.contents.len()),
        }
    }

    /// The value of an OBJECT IDENTIFIER.
    pub(crate) fn object_identifier(&self) -> Result<ObjectIdentifier, DerError> {
        ObjectIdentifier::from_bytes(self.contents)
            .map_err(|_| self.error(DerRule::ObjectIdentifier))
    }

    /// The octets of a BIT STRING that has no unused bits, as those that hold keys and signatures.
    pub(crate) fn octet_aligned(&self) -> Result<&'a [u8], DerError> {
        match self.contents.split_first() {
            Some((0, octets)) => Ok(octets),
            _ => Err(self.error(DerRule::BitString)),
        }
    }

    /// The text of a character string, for people to read.
    pub(crate) fn text(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.contents)
    }
}
