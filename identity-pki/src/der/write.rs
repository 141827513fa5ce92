use const_oid::ObjectIdentifier;

use super::tag;

/// One element with a definite length in the fewest octets (X.690 §10.1).
pub(crate) fn tlv(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let length: usize = contents.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 4);
    out.push(tag);
    push_length(&mut out, length);
    for part in contents {
        out.extend_from_slice(part);
    }
    out
}

fn push_length(out: &mut Vec<u8>, length: usize) {
    let octets = length.to_be_bytes();
    let significant = octets.iter().skip_while(|octet| **octet == 0);
    match length {
        0 => out.push(0),
        1..0x80 => {}
        _ => out.push(significant.clone().fold(0x80, |form, _| form + 1)),
    }
    out.extend(significant);
}

pub(crate) fn sequence(contents: &[&[u8]]) -> Vec<u8> {
    tlv(tag::SEQUENCE, contents)
}

/// A SET OF one element, which needs no sorting.
pub(crate) fn set(element: &[u8]) -> Vec<u8> {
    tlv(tag::SET, &[element])
}

pub(crate) fn octet_string(contents: &[u8]) -> Vec<u8> {
    tlv(tag::OCTET_STRING, &[contents])
}

pub(crate) fn object_identifier(oid: ObjectIdentifier) -> Vec<u8> {
    tlv(tag::OBJECT_IDENTIFIER, &[oid.as_bytes()])
}

pub(crate) fn boolean(value: bool) -> Vec<u8> {
    tlv(tag::BOOLEAN, &[&[if value { 0xff } else { 0x00 }]])
}

/// `[number] EXPLICIT`.
pub(crate) fn explicit(number: u8, contents: &[u8]) -> Vec<u8> {
    tlv(tag::context_constructed(number), &[contents])
}
