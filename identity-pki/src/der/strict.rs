use super::read::{DerError, DerRule, Element, Reader};
use super::tag;

/// Walks every element of the input, which is one element and nothing after it, and refuses
/// whatever DER would spell in another way. Answers that element. Strings that wrap an encoding are
/// not looked into.
pub(crate) fn check(mut input: Reader<'_>, depth_limit: usize) -> Result<Element<'_>, DerError> {
    let element = input.any()?;
    input.finish()?;
    check_element(&element, depth_limit, depth_limit)?;
    Ok(element)
}

fn check_element(element: &Element<'_>, depth: usize, limit: usize) -> Result<(), DerError> {
    match element.tag {
        tag::SEQUENCE => check_children(element, depth, limit),
        tag::SET => {
            check_children(element, depth, limit)?;
            check_set_order(element)
        }
        0xa0..=0xbe => check_children(element, depth, limit),
        0x80..=0x9e => Ok(()),
        universal => {
            check_primitive(universal, element.contents).map_err(|rule| element.error(rule))
        }
    }
}

fn check_children(element: &Element<'_>, depth: usize, limit: usize) -> Result<(), DerError> {
    let depth = depth
        .checked_sub(1)
        .ok_or_else(|| element.error(DerRule::Depth { limit }))?;
    let mut reader = element.reader();
    while !reader.is_empty() {
        check_element(&reader.any()?, depth, limit)?;
    }
    Ok(())
}

/// The elements of a SET OF ascend (X.690 §11.6).
pub(crate) fn check_set_order(set: &Element<'_>) -> Result<(), DerError> {
    let mut reader = set.reader();
    let mut previous: &[u8] = &[];
    while !reader.is_empty() {
        let element = reader.any()?;
        if element.raw < previous {
            return Err(element.error(DerRule::SetOrder));
        }
        previous = element.raw;
    }
    Ok(())
}

fn check_primitive(tag: u8, contents: &[u8]) -> Result<(), DerRule> {
    let (fine, rule) = match tag {
        tag::BOOLEAN => (matches!(contents, [0x00 | 0xff]), DerRule::Boolean),
        tag::INTEGER | tag::ENUMERATED => (is_minimal_integer(contents), DerRule::Integer),
        tag::BIT_STRING => (has_zero_unused_bits(contents), DerRule::BitString),
        tag::NULL => (contents.is_empty(), DerRule::Null),
        tag::OBJECT_IDENTIFIER => (
            const_oid::ObjectIdentifier::from_bytes(contents).is_ok(),
            DerRule::ObjectIdentifier,
        ),
        tag::UTF8_STRING => (
            std::str::from_utf8(contents).is_ok(),
            DerRule::CharacterString,
        ),
        tag::NUMERIC_STRING => (all(contents, is_numeric), DerRule::CharacterString),
        tag::PRINTABLE_STRING => (all(contents, is_printable), DerRule::CharacterString),
        tag::IA5_STRING => (contents.is_ascii(), DerRule::CharacterString),
        tag::VISIBLE_STRING => (all(contents, is_visible), DerRule::CharacterString),
        tag::BMP_STRING => (contents.len().is_multiple_of(2), DerRule::CharacterString),
        tag::UNIVERSAL_STRING => (contents.len().is_multiple_of(4), DerRule::CharacterString),
        tag::OCTET_STRING | tag::TELETEX_STRING | tag::UTC_TIME | tag::GENERALIZED_TIME => {
            return Ok(());
        }
        tag => return Err(DerRule::ForbiddenTag { tag }),
    };
    if fine { Ok(()) } else { Err(rule) }
}

fn is_minimal_integer(contents: &[u8]) -> bool {
    match contents {
        [] => false,
        [_] => true,
        [0x00, second, ..] => second & 0x80 != 0,
        [0xff, second, ..] => second & 0x80 == 0,
        _ => true,
    }
}

fn has_zero_unused_bits(contents: &[u8]) -> bool {
    match contents {
        [0, ..] => true,
        [unused @ 1..=7, .., last] => last.trailing_zeros() >= u32::from(*unused),
        _ => false,
    }
}

fn all(contents: &[u8], is_allowed: fn(u8) -> bool) -> bool {
    contents.iter().all(|&byte| is_allowed(byte))
}

fn is_numeric(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b' '
}

fn is_printable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte)
}

fn is_visible(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e)
}
