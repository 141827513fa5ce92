//! An encoder for tests, which can write what the crate's own never would.

pub const SEQUENCE: u8 = 0x30;
pub const SET: u8 = 0x31;
pub const UTF8: u8 = 0x0c;

pub fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    let length = u16::try_from(contents.len()).unwrap();
    let [high, low] = length.to_be_bytes();
    let header = match length {
        0..=0x7f => vec![tag, low],
        0x80..=0xff => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [header, contents].concat()
}

pub fn seq(parts: &[&[u8]]) -> Vec<u8> {
    tlv(SEQUENCE, parts)
}

/// `2.5.29.15` as the element.
pub fn oid(dotted: &str) -> Vec<u8> {
    let mut arcs = dotted.split('.').map(|arc| arc.parse::<u64>().unwrap());
    let first = arcs.next().unwrap() * 40 + arcs.next().unwrap();
    let mut contents = Vec::new();
    for arc in std::iter::once(first).chain(arcs) {
        let groups = (0..10).rev().map(|group| (arc >> (7 * group)) & 0x7f);
        let mut groups: Vec<u8> = groups
            .skip_while(|group| *group == 0)
            .map(|group| u8::try_from(group).unwrap() | 0x80)
            .collect();
        match groups.last_mut() {
            Some(last) => *last &= 0x7f,
            None => groups.push(0),
        }
        contents.extend(groups);
    }
    tlv(0x06, &[&contents])
}

pub fn octets(contents: &[u8]) -> Vec<u8> {
    tlv(0x04, &[contents])
}

pub fn bits(contents: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[0], contents])
}

pub fn integer(contents: &[u8]) -> Vec<u8> {
    tlv(0x02, &[contents])
}

pub const TRUE: [u8; 3] = [0x01, 0x01, 0xff];

pub fn extension(dotted: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &TRUE } else { &[] };
    seq(&[&oid(dotted), critical, &octets(value)])
}

/// A name of one common name.
pub fn common_name(value: &str) -> Vec<u8> {
    seq(&[&tlv(SET, &[&attribute_value("2.5.4.3", value)])])
}

pub fn attribute_value(kind: &str, value: &str) -> Vec<u8> {
    seq(&[&oid(kind), &tlv(UTF8, &[value.as_bytes()])])
}

pub fn ecdsa_with_sha256() -> Vec<u8> {
    seq(&[&oid("1.2.840.10045.4.3.2")])
}

pub fn ecdsa_with_sha384() -> Vec<u8> {
    seq(&[&oid("1.2.840.10045.4.3.3")])
}

pub fn p384_algorithm() -> Vec<u8> {
    seq(&[&oid("1.2.840.10045.2.1"), &oid("1.3.132.0.34")])
}

pub fn p256_algorithm() -> Vec<u8> {
    seq(&[&oid("1.2.840.10045.2.1"), &oid("1.2.840.10045.3.1.7")])
}

pub const BASIC_CONSTRAINTS: &str = "2.5.29.19";
pub const KEY_USAGE: &str = "2.5.29.15";
pub const EXT_KEY_USAGE: &str = "2.5.29.37";
pub const SUBJECT_ALT_NAME: &str = "2.5.29.17";
pub const SUBJECT_KEY_IDENTIFIER: &str = "2.5.29.14";
pub const DIGITAL_SIGNATURE: [u8; 4] = [0x03, 0x02, 0x07, 0x80];

pub fn client_auth() -> Vec<u8> {
    seq(&[&oid("1.3.6.1.5.5.7.3.2")])
}

pub fn san_uri(uri: &str) -> Vec<u8> {
    seq(&[&tlv(0x86, &[uri.as_bytes()])])
}
