use crate::name::named;
use crate::{Error, SCORES, Scores, Thresholds, VerifyOutcome};

named! {
    /// How four comparisons become one decision.
    pub enum MatchMode ("match mode") {
        /// Every score in use reaches its threshold.
        All = "all",
        /// At least `k` scores in use reach their thresholds.
        KOfN = "k_of_n",
        /// The weighted mean of the distances from the thresholds is not below zero.
        Weighted = "weighted",
    }
}

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

/// One user whom the palm server thinks the sample might be of.
///
/// A candidate of another tenant is no candidate: the caller leaves it out.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The user.
    pub user_id: String,
    /// How alike.
    pub scores: Scores,
}

/// A checked palm policy: which scores pass, and who is the best candidate.
///
/// Candidates are ranked by their scores alone, combined as the mode says; thresholds decide only
/// whether the best one passes. Therefore raising a threshold, the palm server's or ours, can turn a
/// match into a refusal and never a refusal into a match: it cannot push a rival out of the way.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "PalmPolicyConfig", into = "PalmPolicyConfig")
)]
pub struct PalmPolicy(PalmPolicyConfig);

impl PalmPolicy {
    /// The edition of the rules in this module; the first part of [`version`](Self::version).
    pub const EDITION: u32 = 1;

    /// Checks a configuration.
    ///
    /// # Errors
    ///
    /// [`Error::Policy`] with the [`PolicyRule`] that it breaks.
    pub fn new(config: PalmPolicyConfig) -> Result<Self, Error> {
        check(&config).map_err(Error::Policy)?;
        Ok(Self(config))
    }

    /// The configuration, as it was given.
    #[must_use]
    pub const fn config(&self) -> &PalmPolicyConfig {
        &self.0
    }

    /// What decides, as one line for audit and receipt: with it, the scores and the thresholds, a
    /// decision can be made again. Two policies that decide differently never share it.
    ///
    /// ```
    /// # use identity_challenge::PalmPolicy;
    /// assert_eq!(PalmPolicy::default().version(), "1/all/use=0,1,2,3/offset=0,0,0,0/margin=0");
    /// ```
    #[must_use]
    pub fn version(&self) -> String {
        let PalmPolicyConfig {
            mode,
            k,
            weights,
            threshold_offset,
            slots,
            min_margin,
        } = &self.0;
        let parameter = match mode {
            MatchMode::All => String::new(),
            MatchMode::KOfN => format!("={k}"),
            MatchMode::Weighted => format!("={}", list(weights)),
        };
        let mut slots = slots.clone();
        slots.sort_unstable();
        format!(
            "{}/{mode}{parameter}/use={}/offset={}/margin={min_margin}",
            Self::EDITION,
            list(&slots),
            list(threshold_offset),
        )
    }

    /// Whether the sample is of `expected`: the candidate rule of contract §8.
    ///
    /// The best candidate is the expected user and passes: a match; does not pass: low confidence.
    /// It is another user and passes: an identity mismatch. Otherwise the palm was not found. A tie
    /// between users is nobody's match.
    #[must_use]
    pub fn verify(
        &self,
        expected: &str,
        candidates: &[Candidate],
        thresholds: &Thresholds,
    ) -> VerifyOutcome {
        let Some(Best { candidate, passes }) = self.best(Some(expected), candidates, thresholds)
        else {
            return VerifyOutcome::NotFound;
        };
        let scores = candidate.scores;
        match (candidate.user_id == expected, passes) {
            (true, true) => VerifyOutcome::Match { scores },
            (true, false) => VerifyOutcome::LowConfidence { scores },
            (false, true) => VerifyOutcome::IdentityMismatch {
                matched_user: candidate.user_id.clone(),
                scores,
            },
            (false, false) => VerifyOutcome::NotFound,
        }
    }

    /// Whose sample it is, where nobody in particular is expected: the best candidate, if it passes.
    #[must_use]
    pub fn identify<'a>(
        &self,
        candidates: &'a [Candidate],
        thresholds: &Thresholds,
    ) -> Option<&'a Candidate> {
        self.best(None, candidates, thresholds)
            .and_then(|best| best.passes.then_some(best.candidate))
    }

    fn best<'a>(
        &self,
        expected: Option<&str>,
        candidates: &'a [Candidate],
        thresholds: &Thresholds,
    ) -> Option<Best<'a>> {
        let rank = |candidate: &Candidate| self.combine(candidate.scores.as_array());
        let margin =
            |candidate: &Candidate| self.combine(&self.margins(&candidate.scores, thresholds));
        let is_expected = |candidate: &Candidate| Some(candidate.user_id.as_str()) == expected;
        // Equal ranks of two users pass for neither; of one user's templates the nearest counts.
        let candidate = candidates.iter().max_by(|a, b| {
            rank(a)
                .total_cmp(&rank(b))
                .then_with(|| is_expected(a).cmp(&is_expected(b)))
                .then_with(|| margin(a).total_cmp(&margin(b)))
        })?;
        let leads = candidates
            .iter()
            .filter(|other| other.user_id != candidate.user_id)
            .map(|other| rank(candidate) - rank(other))
            .all(|lead| lead > 0.0 && lead >= self.0.min_margin);
        let passes = leads && margin(candidate) >= 0.0;
        Some(Best { candidate, passes })
    }

    /// How far each score is above its threshold, the tenant's offset included.
    fn margins(&self, scores: &Scores, thresholds: &Thresholds) -> [f64; SCORES] {
        let mut margins = *scores.as_array();
        for ((margin, threshold), offset) in margins
            .iter_mut()
            .zip(thresholds.as_array())
            .zip(&self.0.threshold_offset)
        {
            *margin -= threshold + offset;
        }
        margins
    }

    /// One number for the slots in use: for `all` the least, for `k_of_n` the k-th greatest, for
    /// `weighted` the weighted mean. It never falls when one of the values rises.
    fn combine(&self, values: &[f64; SCORES]) -> f64 {
        let used = || {
            values
                .iter()
                .zip(&self.0.weights)
                .zip(0u8..)
                .filter(|(_, slot)| self.0.slots.contains(slot))
                .map(|((value, weight), _)| (*value, *weight))
        };
        let kth_greatest = |k: usize| {
            let mut ordered: Vec<f64> = used().map(|(value, _)| value).collect();
            ordered.sort_by(|a, b| b.total_cmp(a));
            ordered.into_iter().take(k).fold(f64::INFINITY, f64::min)
        };
        match self.0.mode {
            MatchMode::All => kth_greatest(self.0.slots.len()),
            MatchMode::KOfN => kth_greatest(usize::from(self.0.k)),
            MatchMode::Weighted => {
                let sum: f64 = used().map(|(value, weight)| value * weight).sum();
                let weight: f64 = used().map(|(_, weight)| weight).sum();
                sum / weight
            }
        }
    }
}

impl Default for PalmPolicy {
    /// All four scores reach the palm server's own thresholds.
    fn default() -> Self {
        Self(PalmPolicyConfig::default())
    }
}

impl TryFrom<PalmPolicyConfig> for PalmPolicy {
    type Error = Error;

    fn try_from(config: PalmPolicyConfig) -> Result<Self, Error> {
        Self::new(config)
    }
}

impl From<PalmPolicy> for PalmPolicyConfig {
    fn from(policy: PalmPolicy) -> Self {
        policy.0
    }
}

struct Best<'a> {
    candidate: &'a Candidate,
    passes: bool,
}

fn check(config: &PalmPolicyConfig) -> Result<(), PolicyRule> {
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

fn list<T: std::fmt::Display>(values: &[T]) -> String {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    texts.join(",")
}
