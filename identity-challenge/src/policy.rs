use crate::name::named;
use crate::policy_config::{self, PalmPolicyConfig};
use crate::{Error, SCORES, Scores, Thresholds, VendorFault, VerifyOutcome};

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
    /// [`Error::Policy`] with the [`PolicyRule`](crate::PolicyRule) that it breaks.
    pub fn new(config: PalmPolicyConfig) -> Result<Self, Error> {
        policy_config::check(&config).map_err(Error::Policy)?;
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

    /// Checks that the thresholds of the slots in use, the tenant's offsets included, are above zero: one
    /// that is not would let every palm pass.
    ///
    /// # Errors
    ///
    /// [`VendorFault::NotPositive`]: nothing is decided by them.
    pub fn check_thresholds(&self, thresholds: &Thresholds) -> Result<(), VendorFault> {
        for &slot in &self.0.slots {
            let index = usize::from(slot);
            let both = thresholds
                .as_array()
                .get(index)
                .zip(self.0.threshold_offset.get(index));
            if let Some((&value, offset)) = both
                && value + offset <= 0.0
            {
                return Err(VendorFault::NotPositive { index, value });
            }
        }
        Ok(())
    }

    /// Whether scores reach their thresholds, whoever else's do.
    #[must_use]
    pub fn passes(&self, scores: &Scores, thresholds: &Thresholds) -> bool {
        self.margin(scores, thresholds) >= 0.0
    }

    /// Which user other than `user` a sample of theirs would pass for: of the candidates whose scores reach
    /// their thresholds, the nearest. A tie hides none, so that a palm which two users have already is
    /// found with a third.
    #[must_use]
    pub fn duplicate<'a>(
        &self,
        user: &str,
        candidates: &'a [Candidate],
        thresholds: &Thresholds,
    ) -> Option<&'a Candidate> {
        candidates
            .iter()
            .filter(|candidate| candidate.user_id != user)
            .filter(|candidate| self.passes(&candidate.scores, thresholds))
            .max_by(|a, b| self.rank(a).total_cmp(&self.rank(b)))
    }

    fn rank(&self, candidate: &Candidate) -> f64 {
        self.combine(candidate.scores.as_array())
    }

    fn margin(&self, scores: &Scores, thresholds: &Thresholds) -> f64 {
        self.combine(&self.margins(scores, thresholds))
    }

    fn best<'a>(
        &self,
        expected: Option<&str>,
        candidates: &'a [Candidate],
        thresholds: &Thresholds,
    ) -> Option<Best<'a>> {
        let rank = |candidate: &Candidate| self.rank(candidate);
        let margin = |candidate: &Candidate| self.margin(&candidate.scores, thresholds);
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

fn list<T: std::fmt::Display>(values: &[T]) -> String {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    texts.join(",")
}
