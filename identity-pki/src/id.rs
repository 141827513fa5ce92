use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::{Error, excerpt};

/// The longest tenant or device id, in bytes, that fits its place in a certificate.
const MAX_ID_LEN: usize = 64;

/// The rule of an id's syntax that a value breaks.
///
/// Ids enter a certificate's subject and SAN URI as they are, so they hold nothing that would need
/// escaping (RFC 3986 §2.1) and never come in two spellings: anything else is refused, not
/// normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdRule {
    /// The value is empty.
    #[error("is empty")]
    Empty,
    /// The value is longer than the limit.
    #[error("has {length} bytes; at most {limit} are allowed")]
    TooLong {
        /// Bytes given.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The value is shorter than a tenant id may be.
    #[error("has {length} bytes; at least {limit} are needed")]
    TooShort {
        /// Bytes given.
        length: usize,
        /// Bytes needed.
        limit: usize,
    },
    /// A character outside the alphabet.
    #[error("has {found:?} at byte {position}; {allowed}")]
    Character {
        /// The character.
        found: char,
        /// Its offset in bytes.
        position: usize,
        /// The alphabet, in words.
        allowed: &'static str,
    },
}

fn check_alphabet(
    value: &str,
    allowed: &'static str,
    is_allowed: impl Fn(usize, char) -> bool,
) -> Result<(), IdRule> {
    if value.is_empty() {
        return Err(IdRule::Empty);
    }
    if value.len() > MAX_ID_LEN {
        return Err(IdRule::TooLong {
            length: value.len(),
            limit: MAX_ID_LEN,
        });
    }
    match value
        .char_indices()
        .find(|&(position, c)| !is_allowed(position, c))
    {
        Some((position, found)) => Err(IdRule::Character {
            found,
            position,
            allowed,
        }),
        None => Ok(()),
    }
}

fn tenant_id_rule(value: &str) -> Result<(), IdRule> {
    check_alphabet(
        value,
        "a tenant id is a-z, then a-z, 0-9 and -",
        |position, c| c.is_ascii_lowercase() || (position > 0 && (c.is_ascii_digit() || c == '-')),
    )?;
    match value.len() {
        1 => Err(IdRule::TooShort {
            length: 1,
            limit: 2,
        }),
        2..=63 => Ok(()),
        length => Err(IdRule::TooLong { length, limit: 63 }),
    }
}

fn device_id_rule(value: &str) -> Result<(), IdRule> {
    check_alphabet(value, "a device id is of a-z, 0-9, _ and -", |_, c| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-'
    })
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $rule:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `value` against the syntax above.
            ///
            /// # Errors
            ///
            #[doc = concat!("[`Error::", stringify!($name), "`] with the [`IdRule`] that `value` breaks.")]
            pub fn new(value: impl AsRef<str>) -> Result<Self, Error> {
                let value = value.as_ref();
                $rule(value)
                    .map_err(|rule| Error::$name { value: excerpt(value, 80), rule })?;
                Ok(Self(value.into()))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(value: &str) -> Result<Self, Error> {
                Self::new(value)
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::new(&value).map_err(serde::de::Error::custom)
            }
        }
    };
}

id! {
    /// The slug of a tenant: `^[a-z][a-z0-9-]{1,62}$`.
    ///
    /// ```
    /// use identity_pki::TenantId;
    ///
    /// assert_eq!(TenantId::new("acme-bank")?.as_str(), "acme-bank");
    /// assert!(TenantId::new("Acme").is_err(), "refused, never normalised");
    /// # Ok::<(), identity_pki::Error>(())
    /// ```
    TenantId, tenant_id_rule
}

id! {
    /// The opaque id of a device: 1 to 64 of `a-z0-9_-`.
    ///
    /// ```
    /// use identity_pki::DeviceId;
    ///
    /// assert_eq!(DeviceId::new("dev_789")?.as_str(), "dev_789");
    /// assert!(DeviceId::new("dev 789").is_err());
    /// # Ok::<(), identity_pki::Error>(())
    /// ```
    DeviceId, device_id_rule
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_id_is_a_slug_of_two_to_sixty_three_bytes() {
        for good in ["ab", "a0", "a-", "acme-bank-2", &"a".repeat(63)] {
            assert!(TenantId::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "-a",
            "0a",
            "A",
            "aB",
            "a_b",
            "a.b",
            "a b",
            "é",
            "a:b",
            &"a".repeat(64),
        ] {
            assert!(TenantId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_device_id_needs_no_escaping_in_a_uri() {
        for good in ["d", "dev_789", "-", "_", "0", &"a".repeat(64)] {
            assert!(DeviceId::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "D",
            "dev:1",
            "dev%31",
            "dev/1",
            "dév",
            "a\0",
            &"a".repeat(65),
        ] {
            assert!(DeviceId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_refused_id_is_quoted_in_part_only() {
        let error = DeviceId::new("x".repeat(10_000)).unwrap_err();
        assert!(error.to_string().len() < 200, "{error}");
    }
}
