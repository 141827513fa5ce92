use crate::{MatchMode, SCORES};

/// A tenant's palm policy as it is configured: `palm_policy` of contract §4.
///
/// Members that the mode does not read are kept, so that a configuration that was read can be
/// written back unchanged.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
pub struct PalmPolicyConfig {
    /// The mode.
    pub mode: MatchMode,
    /// For `k_of_n`: how many scores must pass; 1 to the number of slots in use.
    pub k: u8,
    /// For `weighted`: the weight of each score, none negative, one in use above zero.
    pub weights: [f64; SCORES],
    /// Added to the palm server's thresholds; none negative: a tenant may raise, never lower.
    pub threshold_offset: [f64; SCORES],
    /// The scores that count, by index 0 to 3; at least one, none twice.
    #[cfg_attr(feature = "serde", serde(rename = "use"))]
    pub slots: Vec<u8>,
    /// By how much the best candidate must lead the best one of any other user; not negative.
    pub min_margin: f64,
}

impl Default for PalmPolicyConfig {
    fn default() -> Self {
        Self {
            mode: MatchMode::All,
            k: 4,
            weights: [1.0; SCORES],
            threshold_offset: [0.0; SCORES],
            slots: vec![0, 1, 2, 3],
            min_margin: 0.0,
        }
    }
}

/// The rule that a palm policy breaks.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyRule {
    /// `k` is zero or above the number of scores.
    #[error("k is 1 to {most}, not {k}")]
    K {
        /// What was given.
        k: u8,
        /// The most that can pass.
        most: usize,
    },
    /// A weight is negative or not finite.
    #[error("weights[{index}] is a finite number from 0, not {value}")]
    Weight {
        /// Which one.
        index: usize,
        /// What was given.
        value: f64,
    },
    /// No score in use weighs anything.
    #[error("of the weights in use at least one is above 0")]
    Weightless,
    /// An offset is negative or not finite.
    #[error(
        "threshold_offset[{index}] is a finite number from 0, not {value}: thresholds may be \
         raised, never lowered"
    )]
    Offset {
        /// Which one.
        index: usize,
        /// What was given.
        value: f64,
    },
    /// No score is in use.
    #[error("use names at least one score")]
    NoSlot,
    /// An index of no score.
    #[error("use names scores 0 to 3, not {slot}")]
    Slot {
        /// What was given.
        slot: u8,
    },
    /// An index given twice.
    #[error("use names score {slot} twice")]
    SlotTwice {
        /// Which one.
        slot: u8,
    },
    /// The margin is negative or not finite.
    #[error("min_margin is a finite number from 0, not {value}")]
    MinMargin {
        /// What was given.
        value: f64,
    },
}

/// Checks a configuration.
pub(crate) fn check(config: &PalmPolicyConfig) -> Result<(), PolicyRule> {
    check_slots(&config.slots)?;
    let most = match config.mode {
        MatchMode::KOfN => config.slots.len(),
        MatchMode::All | MatchMode::Weighted => SCORES,
    };
    if !(1..=most).contains(&usize::from(config.k)) {
        return Err(PolicyRule::K { k: config.k, most });
    }
    if let Some((index, value)) = first_negative(&config.weights) {
        return Err(PolicyRule::Weight { index, value });
    }
    let weighs = |(weight, slot): (&f64, u8)| *weight > 0.0 && config.slots.contains(&slot);
    if config.mode == MatchMode::Weighted && !config.weights.iter().zip(0u8..).any(weighs) {
        return Err(PolicyRule::Weightless);
    }
    if let Some((index, value)) = first_negative(&config.threshold_offset) {
        return Err(PolicyRule::Offset { index, value });
    }
    match first_negative(&[config.min_margin]) {
        Some((_, value)) => Err(PolicyRule::MinMargin { value }),
        None => Ok(()),
    }
}

fn check_slots(slots: &[u8]) -> Result<(), PolicyRule> {
    if slots.is_empty() {
        return Err(PolicyRule::NoSlot);
    }
    let mut seen = [false; SCORES];
    for &slot in slots {
        match seen.get_mut(usize::from(slot)) {
            None => return Err(PolicyRule::Slot { slot }),
            Some(seen) if *seen => return Err(PolicyRule::SlotTwice { slot }),
            Some(seen) => *seen = true,
        }
    }
    Ok(())
}

fn first_negative(values: &[f64]) -> Option<(usize, f64)> {
    values
        .iter()
        .copied()
        .enumerate()
        .find(|(_, value)| !value.is_finite() || *value < 0.0)
}
