use rustls_pki_types::SignatureVerificationAlgorithm;

use crate::der::{DerError, DerRule, Element, tag};
use crate::extension::{self, Extension, KeyUsage};
use crate::key::P256Spki;
use crate::{DeviceIdentity, SpkiSha256, oid, pem};

use super::parse::{self, Attribute};
use super::{CsrReason, ValidatedCsr, proof};

/// The longest request, in bytes of DER. A device's has about 300.
pub const MAX_CSR_LEN: usize = 4096;

/// The longest request as text, which leaves room for any wrapping of the lines.
const MAX_CSR_TEXT_LEN: usize = 2 * MAX_CSR_LEN;

/// What a certificate signing request has to be before anything is issued for it.
///
/// [`new`](Self::new) is the strictest policy: a P-256 key, proof of possession, and no extension
/// but those that say again what every device certificate says anyway (`BasicConstraints` CA:false,
/// `KeyUsage` digitalSignature, `ExtKeyUsage` clientAuth). What a request names as its subject is
/// ignored (§9.2.1 of the product's specification), and so are the attributes `challengePassword`
/// and `unstructuredName`, which OpenSSL's stock configuration adds.
#[derive(Debug, Clone, Copy)]
pub struct CsrPolicy<'a> {
    verifier: &'a dyn SignatureVerificationAlgorithm,
    refused_keys: &'a [SpkiSha256],
    expected_identity: Option<&'a DeviceIdentity>,
}

impl<'a> CsrPolicy<'a> {
    /// The strictest policy, with the algorithm that checks the proof of possession.
    ///
    /// Requests are to be signed by exactly that algorithm:
    /// [`ECDSA_P256_SHA256`](crate::ECDSA_P256_SHA256), or the same of another library.
    #[must_use]
    pub const fn new(verifier: &'a dyn SignatureVerificationAlgorithm) -> Self {
        Self {
            verifier,
            refused_keys: &[],
            expected_identity: None,
        }
    }

    /// Tightens: keys that no device may have, such as the CAs', the server's, or the key of the
    /// certificate that a renewal replaces.
    #[must_use]
    pub const fn refuse_keys(mut self, keys: &'a [SpkiSha256]) -> Self {
        self.refused_keys = keys;
        self
    }

    /// Relaxes: a request may name the identity that is about to be issued as its one subject
    /// alternative name. Any other name is still refused, and the certificate's name still comes
    /// from the caller.
    #[must_use]
    pub const fn expect_identity(mut self, identity: &'a DeviceIdentity) -> Self {
        self.expected_identity = Some(identity);
        self
    }

    /// Checks a request in PEM: one `CERTIFICATE REQUEST` block (RFC 7468 §7) and nothing around
    /// it but white space.
    ///
    /// # Errors
    ///
    /// The first rule that the request breaks.
    pub fn check_pem(&self, text: &str) -> Result<ValidatedCsr, CsrReason> {
        self.check_der(&pem::decode("CERTIFICATE REQUEST", text, MAX_CSR_TEXT_LEN)?)
    }

    /// Checks a request in PEM, or in bare base64 (RFC 4648 §4) of its DER.
    ///
    /// # Errors
    ///
    /// The first rule that the request breaks.
    pub fn check_text(&self, text: &str) -> Result<ValidatedCsr, CsrReason> {
        if text.trim_ascii_start().starts_with("-----") {
            self.check_pem(text)
        } else {
            self.check_der(&pem::decode_base64(text, MAX_CSR_TEXT_LEN)?)
        }
    }

    /// Checks a request in DER, at most [`MAX_CSR_LEN`] bytes.
    ///
    /// # Errors
    ///
    /// The first rule that the request breaks.
    pub fn check_der(&self, der: &[u8]) -> Result<ValidatedCsr, CsrReason> {
        if der.len() > MAX_CSR_LEN {
            return Err(CsrReason::TooLarge {
                length: der.len(),
                limit: MAX_CSR_LEN,
            });
        }
        let csr = parse::parse(der)?;
        let key = P256Spki::parse(&csr.spki)?;
        self.check_key_is_free(&key)?;
        self.check_attributes(&csr.attributes)?;
        proof::check(&csr, &key, self.verifier)?;
        Ok(ValidatedCsr { key })
    }

    /// The walk over attributes and extensions, whatever key and signature are.
    pub(crate) fn check_attributes_of(&self, der: &[u8]) -> Result<(), CsrReason> {
        self.check_attributes(&parse::parse(der)?.attributes)
    }

    fn check_key_is_free(&self, key: &P256Spki) -> Result<(), CsrReason> {
        let spki_sha256 = key.sha256();
        if self.refused_keys.contains(&spki_sha256) {
            return Err(CsrReason::RefusedKey { spki_sha256 });
        }
        Ok(())
    }

    fn check_attributes(&self, attributes: &[Attribute<'_>]) -> Result<(), CsrReason> {
        for attribute in attributes {
            match attribute.oid {
                oid::EXTENSION_REQUEST => {
                    let list = only_value(attribute)?.expect(tag::SEQUENCE)?;
                    for extension in extension::parse_list(&list)? {
                        self.check_extension(&extension)?;
                    }
                }
                oid::CHALLENGE_PASSWORD => check_text(&only_value(attribute)?)?,
                oid::UNSTRUCTURED_NAME => attribute.values.iter().try_for_each(check_text)?,
                oid::MICROSOFT_EXTENSION_REQUEST => {
                    return Err(CsrReason::MicrosoftExtensionRequest);
                }
                unknown => {
                    return Err(CsrReason::UnknownAttribute {
                        oid: unknown.to_string(),
                    });
                }
            }
        }
        Ok(())
    }

    fn check_extension(&self, extension: &Extension<'_>) -> Result<(), CsrReason> {
        match extension.oid {
            oid::BASIC_CONSTRAINTS => check_basic_constraints(extension.value),
            oid::KEY_USAGE => check_key_usage(extension.value),
            oid::EXT_KEY_USAGE => check_ext_key_usage(extension.value),
            oid::SUBJECT_ALT_NAME => self.check_subject_alt_name(extension.value),
            policy @ (oid::CERTIFICATE_POLICIES
            | oid::POLICY_MAPPINGS
            | oid::POLICY_CONSTRAINTS
            | oid::INHIBIT_ANY_POLICY) => Err(CsrReason::Policies {
                oid: policy.to_string(),
            }),
            oid::NAME_CONSTRAINTS => Err(CsrReason::NameConstraints),
            oid::PROXY_CERT_INFO => Err(CsrReason::ProxyCertificate),
            unknown => Err(CsrReason::UnknownExtension {
                oid: unknown.to_string(),
            }),
        }
    }

    fn check_subject_alt_name(&self, value: Element<'_>) -> Result<(), CsrReason> {
        let names = extension::only_uri(value)?;
        let Some(identity) = self.expected_identity else {
            return Err(CsrReason::SubjectAltName);
        };
        let expected = identity.san_uri();
        if names == Ok(expected.as_bytes()) {
            Ok(())
        } else {
            Err(CsrReason::OtherIdentity { expected })
        }
    }
}

fn only_value<'a>(attribute: &Attribute<'a>) -> Result<Element<'a>, CsrReason> {
    match *attribute.values {
        [value] => Ok(value),
        ref values => Err(CsrReason::MultiValuedAttribute {
            oid: attribute.oid.to_string(),
            values: values.len(),
        }),
    }
}

/// `DirectoryString` or `IA5String` (RFC 2985 §§5.2.2, 5.4.1): ignored, but no place to hide in.
fn check_text(value: &Element<'_>) -> Result<(), DerError> {
    match value.tag {
        tag::UTF8_STRING
        | tag::PRINTABLE_STRING
        | tag::TELETEX_STRING
        | tag::IA5_STRING
        | tag::UNIVERSAL_STRING
        | tag::BMP_STRING => Ok(()),
        found => Err(value.error(DerRule::UnexpectedTag {
            expected: tag::UTF8_STRING,
            found,
        })),
    }
}

fn check_basic_constraints(value: Element<'_>) -> Result<(), CsrReason> {
    let constraints = extension::basic_constraints(value)?;
    if constraints.ca {
        return Err(CsrReason::CaRequested);
    }
    if constraints.has_path_len {
        return Err(CsrReason::PathLength);
    }
    Ok(())
}

fn check_key_usage(value: Element<'_>) -> Result<(), CsrReason> {
    match KeyUsage::parse(value)? {
        KeyUsage::DIGITAL_SIGNATURE => Ok(()),
        other => Err(CsrReason::KeyUsage {
            found: other.to_string(),
        }),
    }
}

fn check_ext_key_usage(value: Element<'_>) -> Result<(), CsrReason> {
    match extension::ext_key_usage(value)?.as_slice() {
        [oid::CLIENT_AUTH] => Ok(()),
        others => Err(CsrReason::ExtKeyUsage {
            found: extension::dotted(others),
        }),
    }
}
