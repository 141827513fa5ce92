//! Ids of stored things: a prefix that says what they name, and a lower-case ULID.

use std::fmt;
use std::str::FromStr;

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use ulid::Ulid;

use crate::Error;

/// A lower-case ULID: 48 bits of `now` in milliseconds, then 80 random bits.
///
/// ```
/// # fn entropy() -> impl rand_core::CryptoRng { rand_core::UnwrapErr(getrandom::SysRng) }
/// let now = time::OffsetDateTime::UNIX_EPOCH;
/// assert_eq!(identity_store::new_ulid(now, &mut entropy()).len(), 26);
/// ```
#[must_use]
pub fn new_ulid(now: OffsetDateTime, rng: &mut (impl CryptoRng + ?Sized)) -> String {
    let mut random = [0; 16];
    rng.fill_bytes(&mut random);
    let millis = now.unix_timestamp_nanos() / 1_000_000;
    Ulid::from_parts(
        u64::try_from(millis).unwrap_or(0),
        u128::from_be_bytes(random),
    )
    .to_string()
    .to_ascii_lowercase()
}

macro_rules! prefixed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[doc = concat!("\n\nSpelled `", $prefix, "` and a lower-case ULID.")]
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// A new id, ordered by `now` among its kind.
            #[must_use]
            pub fn generate(now: OffsetDateTime, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
                Self(format!("{}{}", $prefix, new_ulid(now, rng)))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                let ulid = text.strip_prefix($prefix).ok_or(Error::Id { expected: $prefix })?;
                let lower = ulid.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
                match Ulid::from_string(ulid) {
                    Ok(_) if lower => Ok(Self(text.to_owned())),
                    _ => Err(Error::Id { expected: $prefix }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self, Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
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
    };
}

prefixed_id!(
    /// A challenge.
    ChallengeId, "ch_"
);
prefixed_id!(
    /// A user as the platform knows them. Audit rows carry it in place of the integrator's id, so
    /// that erasing the link between the two takes the person out of the audit trail.
    InternalUserId, "usr_"
);
prefixed_id!(
    /// An OAuth client of an integrator.
    ClientId, "cli_"
);
prefixed_id!(
    /// A console user: a platform or tenant operator.
    OperatorId, "adm_"
);
prefixed_id!(
    /// A console session.
    SessionId, "ses_"
);
prefixed_id!(
    /// Work that goes on after the answer to whoever asked for it.
    JobId, "job_"
);
prefixed_id!(
    /// The erasure of a user.
    ErasureId, "era_"
);
prefixed_id!(
    /// A secret of one-time codes.
    TotpId, "otp_"
);
prefixed_id!(
    /// A process of the server: one run of it, from start to end.
    ReplicaId, "rep_"
);
prefixed_id!(
    /// An audit row.
    AuditId, "aud_"
);
prefixed_id!(
    /// An event of the outbox.
    EventId, "evt_"
);
prefixed_id!(
    /// An endpoint that is told of events.
    WebhookId, "whe_"
);
prefixed_id!(
    /// That an endpoint is to be told of an event.
    DeliveryId, "dlv_"
);

/// The id by which an integrator knows a user: 1 to 128 of `A-Za-z0-9._~-`, the characters that need
/// no escaping in a URL (RFC 3986 §2.3).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserId(String);

impl UserId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"._~-".contains(&b);
        if (1..=128).contains(&text.len()) && text.bytes().all(unreserved) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::Id {
                expected: "1 to 128 of A-Za-z0-9._~-",
            })
        }
    }
}

impl TryFrom<String> for UserId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<UserId> for String {
    fn from(id: UserId) -> Self {
        id.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
