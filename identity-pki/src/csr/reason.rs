use crate::der::DerError;
use crate::extension::{ExtensionError, ExtensionRule};
use crate::key::{KeyError, KeyRule};
use crate::pem::PemRule;

/// Why a certificate signing request is refused: the rule that it breaks, with the clause that the
/// rule comes from and the value that was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CsrReason {
    /// Longer than any honest request.
    #[error("the request has {length} bytes, over this crate's limit of {limit}")]
    TooLarge {
        /// Bytes given.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The textual encoding.
    #[error(transparent)]
    Pem(#[from] PemRule),
    /// The binary encoding.
    #[error(transparent)]
    Der(#[from] DerError),
    /// A version other than v1.
    #[error("version 0x{found} is not v1, which is 0 (RFC 2986 §4.1)")]
    Version {
        /// The beginning of the version's octets, in hexadecimal.
        found: String,
    },
    /// The public key.
    #[error(transparent)]
    Key(#[from] KeyRule),
    /// A key on the caller's blocklist, such as a CA's or another device's.
    #[error(
        "the key {spki_sha256} belongs to somebody else, or is not new (the issuer's own rule)"
    )]
    RefusedKey {
        /// SHA-256 of its `SubjectPublicKeyInfo`.
        spki_sha256: crate::SpkiSha256,
    },
    /// A signature algorithm other than the verifier's.
    #[error(
        "the signature algorithm {found} is not the one asked for, without parameters (RFC 5758 §3.2)"
    )]
    SignatureAlgorithm {
        /// The algorithm's object identifier.
        found: String,
    },
    /// More attributes than anybody needs.
    #[error("there are more attributes than this crate's limit of {limit}")]
    TooManyAttributes {
        /// Attributes allowed.
        limit: usize,
    },
    /// An attribute that is there twice.
    #[error("attribute {oid} is there twice (RFC 5967 §2.1)")]
    DuplicateAttribute {
        /// Its object identifier.
        oid: String,
    },
    /// An attribute without values.
    #[error("attribute {oid} has no value (RFC 2986 §4.1: SIZE (1..MAX))")]
    EmptyAttribute {
        /// Its object identifier.
        oid: String,
    },
    /// An attribute of one value that has several.
    #[error("attribute {oid} has {values} values instead of one (RFC 2985 §5.4)")]
    MultiValuedAttribute {
        /// Its object identifier.
        oid: String,
        /// How many values it has.
        values: usize,
    },
    /// Microsoft's spelling of the extension request.
    #[error("extensions are requested by 1.3.6.1.4.1.311.2.1.14, not by PKCS #9 (RFC 2985 §5.4.2)")]
    MicrosoftExtensionRequest,
    /// An attribute that means nothing here.
    #[error("attribute {oid} has no place in a device's request (this crate's own rule)")]
    UnknownAttribute {
        /// Its object identifier.
        oid: String,
    },
    /// The list of requested extensions.
    #[error(transparent)]
    Extensions(#[from] ExtensionRule),
    /// A request to be a CA.
    #[error("BasicConstraints asks for CA:true (RFC 5280 §4.2.1.9)")]
    CaRequested,
    /// A path length where there is no CA.
    #[error("BasicConstraints has a path length without CA:true (RFC 5280 §4.2.1.9)")]
    PathLength,
    /// Another use of the key than a device has.
    #[error("KeyUsage asks for {found}, not digitalSignature alone (RFC 5280 §4.2.1.3)")]
    KeyUsage {
        /// The usages asked for.
        found: String,
    },
    /// Another purpose than a device has.
    #[error("ExtKeyUsage asks for [{found}], not clientAuth alone (RFC 5280 §4.2.1.12)")]
    ExtKeyUsage {
        /// The purposes asked for.
        found: String,
    },
    /// A name, where the platform chooses the name.
    #[error("a subject alternative name is requested; the platform chooses it (RFC 5280 §4.2.1.6)")]
    SubjectAltName,
    /// Another name than the one that is about to be issued.
    #[error("the subject alternative name asked for is not {expected} alone (RFC 5280 §4.2.1.6)")]
    OtherIdentity {
        /// The URI of the identity that is about to be issued.
        expected: String,
    },
    /// A statement of policy.
    #[error("extension {oid} asserts policies (RFC 5280 §§4.2.1.4, 4.2.1.5, 4.2.1.11, 4.2.1.14)")]
    Policies {
        /// Its object identifier.
        oid: String,
    },
    /// Name constraints, which belong to CAs.
    #[error("name constraints belong to CAs (RFC 5280 §4.2.1.10)")]
    NameConstraints,
    /// A proxy certificate.
    #[error("a proxy certificate is requested (RFC 3820 §3.8)")]
    ProxyCertificate,
    /// Any other extension.
    #[error("extension {oid} has no place in a device's request (RFC 5280 §4.2)")]
    UnknownExtension {
        /// Its object identifier.
        oid: String,
    },
    /// A signature that is no `ECDSA-Sig-Value`.
    #[error("the signature is no ECDSA-Sig-Value of two positive integers (RFC 3279 §2.2.3)")]
    SignatureEncoding,
    /// A signature by another key, or over other bytes.
    #[error("the signature does not prove possession of the key (RFC 2986 §3)")]
    Signature,
}

codes! {
    CsrReason {
        Self::TooLarge { .. } => "too_large",
        Self::Version { .. } => "version",
        Self::RefusedKey { .. } => "key_refused",
        Self::SignatureAlgorithm { .. } => "signature_algorithm",
        Self::TooManyAttributes { .. } => "attributes_too_many",
        Self::DuplicateAttribute { .. } => "attribute_duplicate",
        Self::EmptyAttribute { .. } => "attribute_empty",
        Self::MultiValuedAttribute { .. } => "attribute_multi_valued",
        Self::MicrosoftExtensionRequest => "attribute_microsoft_extension_request",
        Self::UnknownAttribute { .. } => "attribute_unknown",
        Self::CaRequested => "extension_ca",
        Self::PathLength => "extension_path_length",
        Self::KeyUsage { .. } => "extension_key_usage",
        Self::ExtKeyUsage { .. } => "extension_ext_key_usage",
        Self::SubjectAltName => "extension_subject_alt_name",
        Self::OtherIdentity { .. } => "extension_other_identity",
        Self::Policies { .. } => "extension_policies",
        Self::NameConstraints => "extension_name_constraints",
        Self::ProxyCertificate => "extension_proxy_certificate",
        Self::UnknownExtension { .. } => "extension_unknown",
        Self::SignatureEncoding => "signature_encoding",
        Self::Signature => "signature_invalid",
    }
    nested {
        Pem(PemRule),
        Der(DerError),
        Key(KeyRule),
        Extensions(ExtensionRule),
    }
}

/// The kinds of refusal that a caller may want to tell apart, coarser than [`CsrReason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CsrCategory {
    /// No request, or one that is not to be used at all.
    Malformed,
    /// The wrong kind of key or of signature.
    Algorithm,
    /// Attributes or extensions that a device may not ask for.
    Extensions,
    /// No proof of possession.
    Signature,
}

impl CsrReason {
    /// The kind of refusal.
    #[must_use]
    pub const fn category(&self) -> CsrCategory {
        match self {
            Self::TooLarge { .. }
            | Self::Pem(_)
            | Self::Der(_)
            | Self::Version { .. }
            | Self::RefusedKey { .. } => CsrCategory::Malformed,
            Self::Key(_) | Self::SignatureAlgorithm { .. } => CsrCategory::Algorithm,
            Self::TooManyAttributes { .. }
            | Self::DuplicateAttribute { .. }
            | Self::EmptyAttribute { .. }
            | Self::MultiValuedAttribute { .. }
            | Self::MicrosoftExtensionRequest
            | Self::UnknownAttribute { .. }
            | Self::Extensions(_)
            | Self::CaRequested
            | Self::PathLength
            | Self::KeyUsage { .. }
            | Self::ExtKeyUsage { .. }
            | Self::SubjectAltName
            | Self::OtherIdentity { .. }
            | Self::Policies { .. }
            | Self::NameConstraints
            | Self::ProxyCertificate
            | Self::UnknownExtension { .. } => CsrCategory::Extensions,
            Self::SignatureEncoding | Self::Signature => CsrCategory::Signature,
        }
    }
}

impl From<KeyError> for CsrReason {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Der(error) => Self::Der(error),
            KeyError::Rule(rule) => Self::Key(rule),
        }
    }
}

impl From<ExtensionError> for CsrReason {
    fn from(error: ExtensionError) -> Self {
        match error {
            ExtensionError::Der(error) => Self::Der(error),
            ExtensionError::Rule(rule) => Self::Extensions(rule),
        }
    }
}
