//! Reading certificates of our own kinds strictly (RFC 5280 §4.1): version 3, no unique
//! identifiers, and within strict DER throughout.

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

use crate::der::{self, DerError, Element, Reader, tag};
use crate::extension::{self, Extension, ExtensionError, ExtensionRule};
use crate::{Curve, SerialNumber};

/// Nesting of a certificate, extensions aside.
const MAX_DEPTH: usize = 12;

/// The rule of a certificate's outer form that some bytes break.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateRule {
    /// Longer than any certificate of ours.
    #[error("the certificate has {length} bytes, over the limit of {limit}")]
    TooLarge {
        /// Bytes given.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The binary encoding.
    #[error(transparent)]
    Der(#[from] DerError),
    /// A version other than v3.
    #[error("the certificate is not of version 3 (RFC 5280 §4.1.2.1)")]
    Version,
    /// A serial number that is none.
    #[error("the serial number is no positive INTEGER of at most 20 octets (RFC 5280 §4.1.2.2)")]
    SerialNumber,
    /// A signature algorithm other than a CA's of ours.
    #[error(
        "the signature algorithm is {found}, neither ecdsa-with-SHA256 nor ecdsa-with-SHA384 \
         (RFC 5758 §3.2)"
    )]
    SignatureAlgorithm {
        /// The algorithm's object identifier.
        found: String,
    },
    /// One signature algorithm inside what is signed, another beside the signature.
    #[error("the signature algorithm inside is not the one outside (RFC 5280 §4.1.1.2)")]
    SignatureAlgorithmsDiffer,
    /// A time in another form than RFC 5280 gives it.
    #[error("{found:?} is no time as RFC 5280 §4.1.2.5 writes it")]
    Time {
        /// The text found.
        found: String,
    },
    /// A certificate without extensions.
    #[error("the certificate has no extensions (RFC 5280 §4.1.2.9)")]
    NoExtensions,
    /// The list of extensions.
    #[error(transparent)]
    Extensions(#[from] ExtensionRule),
}

codes! {
    CertificateRule {
        Self::TooLarge { .. } => "too_large",
        Self::Version => "version",
        Self::SerialNumber => "serial_number",
        Self::SignatureAlgorithm { .. } => "signature_algorithm",
        Self::SignatureAlgorithmsDiffer => "signature_algorithms_differ",
        Self::Time { .. } => "time",
        Self::NoExtensions => "no_extensions",
    }
    nested {
        Der(DerError),
        Extensions(ExtensionRule),
    }
}

impl From<ExtensionError> for CertificateRule {
    fn from(error: ExtensionError) -> Self {
        match error {
            ExtensionError::Der(error) => Self::Der(error),
            ExtensionError::Rule(rule) => Self::Extensions(rule),
        }
    }
}

/// The parts of a certificate, which are strict DER but not judged yet.
pub(crate) struct Certificate<'a> {
    /// The signed bytes.
    pub(crate) tbs: &'a [u8],
    pub(crate) serial: SerialNumber,
    pub(crate) issuer: Element<'a>,
    pub(crate) subject: Element<'a>,
    pub(crate) not_before: OffsetDateTime,
    pub(crate) not_after: OffsetDateTime,
    pub(crate) spki: Element<'a>,
    pub(crate) extensions: Vec<Extension<'a>>,
    /// The `AlgorithmIdentifier` of the signature, inside as outside.
    pub(crate) signature_algorithm: Element<'a>,
    pub(crate) signature: &'a [u8],
}

impl<'a> Certificate<'a> {
    pub(crate) fn parse(certificate: &'a [u8], limit: usize) -> Result<Self, CertificateRule> {
        if certificate.len() > limit {
            return Err(CertificateRule::TooLarge {
                length: certificate.len(),
                limit,
            });
        }
        let mut outer = der::check(Reader::new(certificate), MAX_DEPTH)?
            .expect(tag::SEQUENCE)?
            .reader();
        let tbs = outer.element(tag::SEQUENCE)?;
        let signature_algorithm = outer.element(tag::SEQUENCE)?;
        let signature = outer.element(tag::BIT_STRING)?.octet_aligned()?;
        outer.finish()?;

        let mut fields = tbs.reader();
        check_version(&mut fields)?;
        let serial = SerialNumber::from_der_contents(fields.element(tag::INTEGER)?.contents)
            .map_err(|_| CertificateRule::SerialNumber)?;
        if fields.element(tag::SEQUENCE)?.raw != signature_algorithm.raw {
            return Err(CertificateRule::SignatureAlgorithmsDiffer);
        }
        let issuer = fields.element(tag::SEQUENCE)?;
        let (not_before, not_after) = validity(&fields.element(tag::SEQUENCE)?)?;
        let subject = fields.element(tag::SEQUENCE)?;
        let spki = fields.element(tag::SEQUENCE)?;
        let wrapper = fields
            .optional(tag::context_constructed(3))?
            .ok_or(CertificateRule::NoExtensions)?;
        fields.finish()?;
        let mut wrapper = wrapper.reader();
        let extensions = extension::parse_list(&wrapper.element(tag::SEQUENCE)?)?;
        wrapper.finish()?;
        Ok(Self {
            tbs: tbs.raw,
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            spki,
            extensions,
            signature_algorithm,
            signature,
        })
    }

    /// The curve of the key that signed, by the signature algorithm.
    pub(crate) fn signing_curve(&self) -> Result<Curve, CertificateRule> {
        Curve::that_signs_by(&self.signature_algorithm)?.map_err(|found| {
            CertificateRule::SignatureAlgorithm {
                found: found.to_string(),
            }
        })
    }
}

fn check_version(fields: &mut Reader<'_>) -> Result<(), CertificateRule> {
    let wrapper = fields
        .optional(tag::context_constructed(0))?
        .ok_or(CertificateRule::Version)?;
    let mut wrapper = wrapper.reader();
    let version = wrapper.element(tag::INTEGER)?;
    wrapper.finish()?;
    match version.contents {
        [2] => Ok(()),
        _ => Err(CertificateRule::Version),
    }
}

fn validity(validity: &Element<'_>) -> Result<(OffsetDateTime, OffsetDateTime), CertificateRule> {
    let mut times = validity.reader();
    let not_before = parse_time(&times.any()?)?;
    let not_after = parse_time(&times.any()?)?;
    times.finish()?;
    Ok((not_before, not_after))
}

/// `UTCTime` up to 2049, `GeneralizedTime` after, in seconds and with Z (RFC 5280 §4.1.2.5).
fn parse_time(element: &Element<'_>) -> Result<OffsetDateTime, CertificateRule> {
    let (year_digits, years) = match element.tag {
        tag::UTC_TIME => (2, 1950..=2049),
        tag::GENERALIZED_TIME => (4, 2050..=9999),
        found => {
            let rule = der::DerRule::UnexpectedTag {
                expected: tag::UTC_TIME,
                found,
            };
            return Err(element.error(rule).into());
        }
    };
    read_time(element.contents, year_digits)
        .filter(|time| years.contains(&time.year()))
        .ok_or_else(|| CertificateRule::Time {
            found: element.text().chars().take(20).collect(),
        })
}

fn read_time(text: &[u8], year_digits: usize) -> Option<OffsetDateTime> {
    let (year, rest) = text.split_at_checked(year_digits)?;
    let mut year = number(year)?;
    if year_digits == 2 {
        year += if year >= 50 { 1900 } else { 2000 };
    }
    let (fields, [b'Z']) = rest.split_at_checked(10)? else {
        return None;
    };
    let mut fields = fields.chunks(2).map(number);
    let mut field = || u8::try_from(fields.next()??).ok();
    let month = Month::try_from(field()?).ok()?;
    let date = Date::from_calendar_date(i32::from(year), month, field()?).ok()?;
    let time = Time::from_hms(field()?, field()?, field()?).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc())
}

fn number(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0, |number: u16, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        Some(number * 10 + u16::try_from(digit).ok()?)
    })
}

/// A time as it stands in a certificate.
pub(crate) fn write_time(time: OffsetDateTime) -> Vec<u8> {
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    let month = u8::from(month);
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    if (1950..=2049).contains(&year) {
        let year = year % 100;
        der::tlv(tag::UTC_TIME, &[format!("{year:02}{rest}").as_bytes()])
    } else {
        der::tlv(
            tag::GENERALIZED_TIME,
            &[format!("{year:04}{rest}").as_bytes()],
        )
    }
}
