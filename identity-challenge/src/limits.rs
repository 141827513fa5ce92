use time::Duration;

use crate::Error;

/// How long a challenge lives: 15 to 600 whole seconds (contract §8), 120 by default (§4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "u32", into = "u32")
)]
pub struct Ttl(u32);

impl Ttl {
    /// Fewest seconds.
    pub const MIN_SECONDS: u32 = 15;
    /// Most seconds.
    pub const MAX_SECONDS: u32 = 600;

    /// A lifetime of `seconds`.
    ///
    /// # Errors
    ///
    /// [`Error::Ttl`] outside the range.
    pub const fn new(seconds: u32) -> Result<Self, Error> {
        if seconds < Self::MIN_SECONDS || seconds > Self::MAX_SECONDS {
            return Err(Error::Ttl {
                seconds,
                min: Self::MIN_SECONDS,
                max: Self::MAX_SECONDS,
            });
        }
        Ok(Self(seconds))
    }

    /// The lifetime in seconds.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.0
    }

    pub(crate) const fn duration(self) -> Duration {
        Duration::seconds(self.0 as i64)
    }
}

impl TryFrom<u32> for Ttl {
    type Error = Error;

    fn try_from(seconds: u32) -> Result<Self, Error> {
        Self::new(seconds)
    }
}

impl From<Ttl> for u32 {
    fn from(ttl: Ttl) -> Self {
        ttl.0
    }
}

impl Default for Ttl {
    fn default() -> Self {
        Self(120)
    }
}

/// How many failed tries end a challenge: 1 to 10, 3 by default (contract §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "u32", into = "u32")
)]
pub struct MaxAttempts(u8);

impl MaxAttempts {
    /// Most tries. The contract names no bound; more than ten tries at one prompt is guessing.
    pub const MAX: u8 = 10;

    /// A bound of `tries`.
    ///
    /// # Errors
    ///
    /// [`Error::MaxAttempts`] outside the range.
    pub fn new(tries: u32) -> Result<Self, Error> {
        match u8::try_from(tries) {
            Ok(bound @ 1..=Self::MAX) => Ok(Self(bound)),
            Ok(_) | Err(_) => Err(Error::MaxAttempts {
                tries,
                max: Self::MAX,
            }),
        }
    }

    /// The bound.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u32> for MaxAttempts {
    type Error = Error;

    fn try_from(tries: u32) -> Result<Self, Error> {
        Self::new(tries)
    }
}

impl From<MaxAttempts> for u32 {
    fn from(bound: MaxAttempts) -> Self {
        Self::from(bound.0)
    }
}

impl Default for MaxAttempts {
    fn default() -> Self {
        Self(3)
    }
}

/// The tries of one challenge: how many were used, of how many. Never more than all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attempts {
    used: u8,
    max: MaxAttempts,
}

impl Attempts {
    /// No try used yet.
    #[must_use]
    pub const fn unused(max: MaxAttempts) -> Self {
        Self { used: 0, max }
    }

    /// `used` tries of `max`, or none if that is more than there are.
    pub(crate) fn stored(used: u8, max: MaxAttempts) -> Option<Self> {
        (used <= max.get()).then_some(Self { used, max })
    }

    /// Tries that failed.
    #[must_use]
    pub const fn used(self) -> u8 {
        self.used
    }

    /// The bound.
    #[must_use]
    pub const fn max(self) -> MaxAttempts {
        self.max
    }

    /// Tries left.
    #[must_use]
    pub const fn remaining(self) -> u8 {
        self.max.get().saturating_sub(self.used)
    }

    pub(crate) const fn after_failed_try(self) -> Self {
        Self {
            used: if self.used < self.max.0 {
                self.used + 1
            } else {
                self.used
            },
            max: self.max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_fifteen_seconds_to_ten_minutes() {
        for (seconds, fits) in [
            (0, false),
            (14, false),
            (15, true),
            (600, true),
            (601, false),
        ] {
            assert_eq!(Ttl::new(seconds).is_ok(), fits, "{seconds}");
        }
    }

    #[test]
    fn tries_are_one_to_ten() {
        for (tries, fits) in [(0, false), (1, true), (10, true), (11, false), (257, false)] {
            assert_eq!(MaxAttempts::new(tries).is_ok(), fits, "{tries}");
        }
    }
}
