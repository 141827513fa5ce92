#[cfg(feature = "x509")]
use time::{Duration, OffsetDateTime};

#[cfg(feature = "x509")]
use crate::{
    CaRule, CrlDifference, CsrReason, Difference, ProfileRule, SerialNumber, ServerCertificateRule,
    SigningError, SpkiSha256,
};
use crate::{IdRule, SanUriRule};

/// Everything that this crate refuses. What a feature adds has variants only with that feature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tenant id that breaks a rule of its syntax.
    #[error("tenant id {value:?} {rule}")]
    TenantId {
        /// What was given, cut to 80 characters.
        value: String,
        /// The rule that it breaks.
        rule: IdRule,
    },
    /// A device id that breaks a rule of its syntax.
    #[error("device id {value:?} {rule}")]
    DeviceId {
        /// What was given, cut to 80 characters.
        value: String,
        /// The rule that it breaks.
        rule: IdRule,
    },
    /// A URI that is not the one spelling of a device identity.
    #[error("SAN URI {value:?} {rule}")]
    SanUri {
        /// What was given, cut to 160 characters.
        value: String,
        /// The rule that it breaks.
        rule: SanUriRule,
    },
    /// Octets that are no certificate serial number.
    #[error(
        "a serial number is a positive, minimally encoded INTEGER of at most 20 octets \
         (RFC 5280 §4.1.2.2), not these {length} octets"
    )]
    SerialNumber {
        /// How many octets were given.
        length: usize,
    },
    /// Text that is not the hexadecimal form of a digest or a serial number.
    #[error("{what} is {expected}, but {length} characters were given")]
    Hex {
        /// What was to be read.
        what: &'static str,
        /// The form that is accepted.
        expected: &'static str,
        /// How many characters were given.
        length: usize,
    },
    /// A typed code that is not nine letters and digits. It does not say what was typed.
    #[cfg(feature = "pairing-code")]
    #[error("a pairing code has 9 letters A to Z and digits (§9.2 of the product's specification)")]
    PairingCode,
    /// A text that is no enrolment secret. It does not say which.
    #[cfg(feature = "pairing-code")]
    #[error("an enrolment secret is enr_ and 26 letters A to Z and digits")]
    EnrollmentSecret,
    /// A certificate signing request that the gate refuses.
    #[cfg(feature = "x509")]
    #[error("the request is refused: {0}")]
    Csr(CsrReason),
    /// A certificate that is no device's.
    #[cfg(feature = "x509")]
    #[error("the device certificate is refused: {0}")]
    DeviceCertificate(ProfileRule),
    /// A certificate that is no platform CA's.
    #[cfg(feature = "x509")]
    #[error("the CA certificate is refused: {0}")]
    CaCertificate(CaRule),
    /// A certificate that the server cannot present.
    #[cfg(feature = "x509")]
    #[error("the server certificate is refused: {0}")]
    ServerCertificate(ServerCertificateRule),
    /// A CA certificate and a signer that do not belong together.
    #[cfg(feature = "x509")]
    #[error("the CA certificate is for key {certificate}, but the signer holds {signer}")]
    CaKeyMismatch {
        /// The key of the certificate.
        certificate: SpkiSha256,
        /// The key of the signer.
        signer: SpkiSha256,
    },
    /// A CA that may not issue now.
    #[cfg(feature = "x509")]
    #[error("the CA is valid from {not_before} to {not_after}, not at {now}")]
    CaNotValid {
        /// The time of issuance.
        now: OffsetDateTime,
        /// The first second of the CA's validity.
        not_before: OffsetDateTime,
        /// The last second of the CA's validity.
        not_after: OffsetDateTime,
    },
    /// A validity that no certificate can have.
    #[cfg(feature = "x509")]
    #[error(
        "no certificate is valid for {validity} from {backdate} ago: both are positive and end \
         between the years 1950 and 9999 (RFC 5280 §4.1.2.5)"
    )]
    Validity {
        /// The validity asked for.
        validity: Duration,
        /// The backdating asked for.
        backdate: Duration,
    },
    /// A CA's common name that is empty, too long, or has control characters.
    #[cfg(feature = "x509")]
    #[error("{value:?} is no common name of 1 to 64 printable characters (RFC 5280, appendix A.1)")]
    CommonName {
        /// What was given, cut to 80 characters.
        value: String,
    },
    /// A signer that gave no usable signature.
    #[cfg(feature = "x509")]
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// A key in a token that cannot be used.
    #[cfg(feature = "pkcs11")]
    #[error("the PKCS #11 token cannot be used: {0}")]
    Pkcs11(crate::Pkcs11Reason),
    /// Text that is no private key of a CA. It does not say what was found.
    #[cfg(feature = "x509")]
    #[error("the private key is not one PKCS #8 PEM block with a P-256 or P-384 key (RFC 5958)")]
    PrivateKey,
    /// A certificate that is not what was meant, found before anyone got it.
    #[cfg(feature = "x509")]
    #[error("the new certificate differs from what was meant in its {field}; it was not issued")]
    Issued {
        /// The field that differs.
        field: Difference,
    },
    /// A CA whose key may not sign revocation lists.
    #[cfg(feature = "x509")]
    #[error(
        "the CA certificate's KeyUsage lacks cRLSign, so verifiers would refuse its revocation \
         lists (RFC 5280 §4.2.1.3)"
    )]
    CaCannotSignCrls,
    /// A CRL number that is too long.
    #[cfg(feature = "x509")]
    #[error(
        "a CRL number has at most 20 octets as an INTEGER (RFC 5280 §5.2.3), but {length} octets \
         were given"
    )]
    CrlNumber {
        /// How many octets were given, leading zeros aside.
        length: usize,
    },
    /// A time of revocation that no CRL can say.
    #[cfg(feature = "x509")]
    #[error(
        "certificate {serial} cannot be revoked at {revoked_at}: a CRL says the years 1950 to 9999 \
         (RFC 5280 §5.1.2.6)"
    )]
    RevocationDate {
        /// The certificate.
        serial: SerialNumber,
        /// The time given.
        revoked_at: OffsetDateTime,
    },
    /// A CRL that is not what was meant, found before anyone got it.
    #[cfg(feature = "x509")]
    #[error("the new CRL differs from what was meant in its {field}; it was not issued")]
    IssuedCrl {
        /// The field that differs.
        field: CrlDifference,
    },
}

#[cfg(feature = "x509")]
impl From<CsrReason> for Error {
    fn from(reason: CsrReason) -> Self {
        Self::Csr(reason)
    }
}

#[cfg(feature = "x509")]
impl From<ProfileRule> for Error {
    fn from(rule: ProfileRule) -> Self {
        Self::DeviceCertificate(rule)
    }
}

#[cfg(feature = "x509")]
impl From<CaRule> for Error {
    fn from(rule: CaRule) -> Self {
        Self::CaCertificate(rule)
    }
}

#[cfg(feature = "pkcs11")]
impl From<crate::Pkcs11Reason> for Error {
    fn from(reason: crate::Pkcs11Reason) -> Self {
        Self::Pkcs11(reason)
    }
}

#[cfg(feature = "x509")]
impl From<ServerCertificateRule> for Error {
    fn from(rule: ServerCertificateRule) -> Self {
        Self::ServerCertificate(rule)
    }
}

/// The beginning of an outside value, for an error message.
pub(crate) fn excerpt(value: &str, limit: usize) -> String {
    value.chars().take(limit).collect()
}
