//! A CRL through x509-parser's eyes, its entries one at a time: the list of them that
//! `CertificateRevocationList` makes takes 600 bytes an entry.

use x509_parser::asn1_rs::{Any, BitString, Class, FromDer, Tag};
use x509_parser::prelude::{ASN1Time, X509Error, X509Extension};
use x509_parser::x509::{AlgorithmIdentifier, X509Name};

/// `CertificateList` (RFC 5280 §5.1).
pub(super) struct List<'a> {
    pub(super) tbs: &'a [u8],
    pub(super) version: u32,
    /// Inside what is signed, and outside.
    pub(super) algorithms: [AlgorithmIdentifier<'a>; 2],
    pub(super) issuer: X509Name<'a>,
    pub(super) this_update: ASN1Time,
    pub(super) next_update: ASN1Time,
    /// The contents of `revokedCertificates`, if it is there.
    pub(super) entries: Option<&'a [u8]>,
    pub(super) extensions: Vec<X509Extension<'a>>,
}

impl<'a> List<'a> {
    /// `None` when the bytes are not one list with the fields that ours have.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let mut input = Input(der);
        let mut list = Input(input.sequence()?);
        input.end()?;

        let start = list.0;
        let mut fields = Input(list.sequence()?);
        let (tbs, _) = start.split_at(start.len() - list.0.len());
        let outer = list.next()?;
        let (&[], BitString { .. }) = BitString::from_der(list.0).ok()? else {
            return None;
        };

        let (rest, version) = u32::from_der(fields.0).ok()?;
        fields.0 = rest;
        let algorithms = [fields.next()?, outer];
        let (issuer, this_update, next_update) = (fields.next()?, fields.next()?, fields.next()?);
        let entries = fields.element(Class::Universal, Tag::Sequence);
        let mut wrapper = Input(fields.element(Class::ContextSpecific, Tag(0))?);
        fields.end()?;
        let mut items = Input(wrapper.sequence()?);
        wrapper.end()?;
        let mut extensions = Vec::new();
        while !items.0.is_empty() {
            extensions.push(items.next()?);
        }
        Some(Self {
            tbs,
            version,
            algorithms,
            issuer,
            this_update,
            next_update,
            entries,
            extensions,
        })
    }
}

/// What is still to be read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn next<T: FromDer<'a, X509Error>>(&mut self) -> Option<T> {
        let (rest, value) = T::from_der(self.0).ok()?;
        self.0 = rest;
        Some(value)
    }

    /// The contents of the next element, if it has this tag.
    fn element(&mut self, class: Class, tag: Tag) -> Option<&'a [u8]> {
        let (rest, element) = Any::from_der(self.0).ok()?;
        if element.class() != class || element.tag() != tag {
            return None;
        }
        self.0 = rest;
        Some(element.data)
    }

    fn sequence(&mut self) -> Option<&'a [u8]> {
        self.element(Class::Universal, Tag::Sequence)
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}
