use crate::der::{self, DerError, Element, Reader, tag};

use super::CsrReason;

/// Nesting of a whole request, extensions aside: names and attributes need eight levels.
const MAX_DEPTH: usize = 12;

/// More attributes than any request has.
const MAX_ATTRIBUTES: usize = 8;

/// The parts of a `CertificationRequest` (RFC 2986 §4), which are strict DER but not judged yet.
pub(super) struct Csr<'a> {
    /// The signed bytes: the whole `CertificationRequestInfo`.
    pub(super) info: &'a [u8],
    pub(super) spki: Element<'a>,
    pub(super) attributes: Vec<Attribute<'a>>,
    pub(super) signature_algorithm: Element<'a>,
    /// An `ECDSA-Sig-Value`, if the request is what it should be.
    pub(super) signature: &'a [u8],
}

/// One attribute and its values, of which there is at least one.
pub(super) struct Attribute<'a> {
    pub(super) oid: const_oid::ObjectIdentifier,
    pub(super) values: Vec<Element<'a>>,
}

pub(super) fn parse(der: &[u8]) -> Result<Csr<'_>, CsrReason> {
    let mut request = der::check(Reader::new(der), MAX_DEPTH)?
        .expect(tag::SEQUENCE)?
        .reader();
    let info = request.element(tag::SEQUENCE)?;
    let signature_algorithm = request.element(tag::SEQUENCE)?;
    let signature = request.element(tag::BIT_STRING)?.octet_aligned()?;
    request.finish()?;

    let mut fields = info.reader();
    check_version(&fields.element(tag::INTEGER)?)?;
    check_name(&fields.element(tag::SEQUENCE)?)?;
    let spki = fields.element(tag::SEQUENCE)?;
    let attributes = parse_attributes(&fields.element(tag::context_constructed(0))?)?;
    fields.finish()?;
    Ok(Csr {
        info: info.raw,
        spki,
        attributes,
        signature_algorithm,
        signature,
    })
}

fn check_version(version: &Element<'_>) -> Result<(), CsrReason> {
    match version.contents {
        [0] => Ok(()),
        contents => Err(CsrReason::Version {
            found: contents
                .iter()
                .take(8)
                .map(|octet| format!("{octet:02x}"))
                .collect(),
        }),
    }
}

/// The subject is stripped, but still a `Name` (RFC 5280 §4.1.2.4).
fn check_name(name: &Element<'_>) -> Result<(), DerError> {
    let mut rdns = name.reader();
    while !rdns.is_empty() {
        let mut rdn = rdns.element(tag::SET)?.reader();
        loop {
            let mut attribute = rdn.element(tag::SEQUENCE)?.reader();
            attribute.element(tag::OBJECT_IDENTIFIER)?;
            attribute.any()?;
            attribute.finish()?;
            if rdn.is_empty() {
                break;
            }
        }
    }
    Ok(())
}

fn parse_attributes<'a>(set: &Element<'a>) -> Result<Vec<Attribute<'a>>, CsrReason> {
    der::check_set_order(set)?;
    let mut reader = set.reader();
    let mut attributes: Vec<Attribute<'a>> = Vec::new();
    while !reader.is_empty() {
        if attributes.len() == MAX_ATTRIBUTES {
            return Err(CsrReason::TooManyAttributes {
                limit: MAX_ATTRIBUTES,
            });
        }
        let attribute = parse_attribute(&reader.element(tag::SEQUENCE)?)?;
        if attributes
            .iter()
            .any(|earlier| earlier.oid == attribute.oid)
        {
            return Err(CsrReason::DuplicateAttribute {
                oid: attribute.oid.to_string(),
            });
        }
        attributes.push(attribute);
    }
    Ok(attributes)
}

fn parse_attribute<'a>(attribute: &Element<'a>) -> Result<Attribute<'a>, CsrReason> {
    let mut fields = attribute.reader();
    let oid = fields
        .element(tag::OBJECT_IDENTIFIER)?
        .object_identifier()?;
    let mut set = fields.element(tag::SET)?.reader();
    fields.finish()?;
    let mut values = Vec::new();
    while !set.is_empty() {
        values.push(set.any()?);
    }
    if values.is_empty() {
        return Err(CsrReason::EmptyAttribute {
            oid: oid.to_string(),
        });
    }
    Ok(Attribute { oid, values })
}
