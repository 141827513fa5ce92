use crate::{IdRule, SanUriRule};

/// Everything that this crate refuses.
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
}

/// The beginning of an outside value, for an error message.
pub(crate) fn excerpt(value: &str, limit: usize) -> String {
    value.chars().take(limit).collect()
}
