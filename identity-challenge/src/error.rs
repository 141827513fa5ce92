use crate::{BindingRule, PolicyRule, RecordRule};

/// Every value from outside that this crate refuses to construct.
///
/// What a challenge refuses to do is a [`Refusal`](crate::Refusal), and what the palm server got
/// wrong a [`VendorFault`](crate::VendorFault): their callers answer differently.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Text that names no variant of an enum.
    #[error("{value:?} is no {what}")]
    UnknownName {
        /// What was to be read.
        what: &'static str,
        /// What was given, cut to 40 characters.
        value: String,
    },
    /// A lifetime outside the range of a challenge (contract §8).
    #[error("a challenge lives {min} to {max} seconds, not {seconds}")]
    Ttl {
        /// Seconds asked for.
        seconds: u32,
        /// Fewest seconds allowed.
        min: u32,
        /// Most seconds allowed.
        max: u32,
    },
    /// A number of tries that is no sensible bound.
    #[error("a challenge allows 1 to {max} tries, not {tries}")]
    MaxAttempts {
        /// Tries asked for.
        tries: u32,
        /// Most tries allowed.
        max: u8,
    },
    /// A palm policy that breaks a rule (contract §4).
    #[error("palm policy: {0}")]
    Policy(PolicyRule),
    /// A device whose product binding does not fit its class (contract §6).
    #[error("device binding: {0}")]
    Binding(BindingRule),
    /// A stored challenge that the machine cannot have written.
    #[error("stored challenge: {0}")]
    Record(RecordRule),
}

impl Error {
    pub(crate) fn unknown_name(what: &'static str, value: &str) -> Self {
        Self::UnknownName {
            what,
            value: value.chars().take(40).collect(),
        }
    }
}
