//! What the palm server's answers mean for a challenge: pure functions over values.

use std::time::Duration;

use biowave_client::{Added, Error, Match, Matches, Refusal};
use identity_challenge::{
    Candidate, EnrollOutcome, Outcome, PalmPolicy, Scores, Thresholds, Undecided, VendorFault,
    VerifyOutcome,
};
use identity_pki::TenantId;
use identity_store::{UserId, VendorState};

/// When a device should send a sample again that could not be decided on.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(2);

/// An answer of the palm server, judged.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    /// What the sample led to.
    pub(super) outcome: Outcome,
    /// How the palm server took it.
    pub(super) vendor: VendorState,
    /// Another user for whom the palm of an enrolment would pass.
    pub(super) duplicate_of: Option<UserId>,
}

impl Verdict {
    /// The sample was not decided on.
    #[must_use]
    pub(super) fn undecided(vendor: VendorState) -> Self {
        let undecided = Undecided::ServiceUnavailable {
            retry_after: RETRY_AFTER,
        };
        Self {
            outcome: Outcome::Undecided(undecided),
            vendor,
            duplicate_of: None,
        }
    }

    /// A template of an earlier attempt has to go before the sample can be enrolled.
    #[must_use]
    pub(super) fn in_the_way() -> Self {
        Self::undecided(VendorState::InTheWay)
    }

    /// The palm is enrolled, under the palm server's number.
    #[must_use]
    pub(super) fn added(palm_id: i64) -> Self {
        Self::answered(Outcome::Enroll(EnrollOutcome::Added { palm_id }))
    }

    /// Whether the palm server has a template of the same user and type.
    #[must_use]
    pub(super) fn is_name_taken(&self) -> bool {
        self.outcome == Outcome::Enroll(EnrollOutcome::AlreadyEnrolled)
    }

    /// The palm is another user's, and was not enrolled for that.
    #[must_use]
    pub(super) fn duplicate(of: UserId) -> Self {
        Self::answered(Outcome::Enroll(EnrollOutcome::DuplicateBiometrics)).beside(Some(of))
    }

    /// The palm is another user's too, whatever was decided; of a sample that was not, that tells nothing.
    #[must_use]
    pub(super) fn beside(self, duplicate_of: Option<UserId>) -> Self {
        let is_decided = matches!(self.outcome, Outcome::Enroll(_));
        Self {
            duplicate_of: duplicate_of.filter(|_| is_decided),
            ..self
        }
    }

    fn answered(outcome: Outcome) -> Self {
        Self {
            outcome,
            vendor: VendorState::Answered,
            duplicate_of: None,
        }
    }
}

/// A user as the palm server knows them. Tenants may share its database, and never meet in it.
#[must_use]
pub(super) fn vendor_user_id(tenant_id: &TenantId, user_id: &UserId) -> String {
    format!("{tenant_id}:{user_id}")
}

/// Whether the sample is of `user_id`, by the answer to a query.
#[must_use]
pub(super) fn of_query(
    answer: &Result<Matches, Error>,
    tenant_id: &TenantId,
    user_id: &UserId,
    policy: &PalmPolicy,
) -> Verdict {
    match answer {
        Ok(matches) => verify(matches, tenant_id, user_id, policy)
            .map_or_else(unjudged, |outcome| {
                Verdict::answered(Outcome::Verify(outcome))
            }),
        Err(Error::Refused(Refusal::QueryTypeForbidden)) => {
            Verdict::answered(Outcome::Verify(VerifyOutcome::QueryTypeRestricted))
        }
        Err(error) => Verdict::undecided(state_after(error)),
    }
}

/// Whether the palm was enrolled, by the answer to an addition.
#[must_use]
pub(super) fn of_add(answer: &Result<Added, Error>) -> Verdict {
    let outcome = match answer {
        Ok(added) => EnrollOutcome::Added { palm_id: added.id },
        Err(Error::Refused(Refusal::AlreadyRegistered)) => EnrollOutcome::DuplicateBiometrics,
        Err(Error::Refused(Refusal::NameDuplicated)) => EnrollOutcome::AlreadyEnrolled,
        Err(Error::Refused(Refusal::InsertFailed)) => EnrollOutcome::LicenseCapacity,
        Err(Error::Refused(Refusal::QueryTypeForbidden)) => EnrollOutcome::QueryTypeRestricted,
        Err(error) => return Verdict::undecided(state_after(error)),
    };
    Verdict::answered(Outcome::Enroll(outcome))
}

/// What the palm server knows of a palm before it is enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Known {
    /// The number of the template that the user has there: an addition whose answer was lost has happened.
    pub(super) palm_id: Option<i64>,
    /// Another user of the tenant for whom the sample would pass.
    pub(super) duplicate_of: Option<UserId>,
}

/// Looks for the palm that is to be enrolled for `user_id` among the candidates of a query.
///
/// # Errors
///
/// The fault, when the numbers cannot be judged.
pub(super) fn known(
    matches: &Matches,
    tenant_id: &TenantId,
    user_id: &UserId,
    policy: &PalmPolicy,
) -> Result<Known, VendorFault> {
    let Some((candidates, thresholds)) = candidates(matches, tenant_id, policy)? else {
        return Ok(Known::default());
    };
    let own = vendor_user_id(tenant_id, user_id);
    let passes = |found: &&Match| {
        let scores = Scores::parse(&found.scores);
        scores.is_ok_and(|scores| policy.passes(&scores, &thresholds))
    };
    let found = matches.results.iter().filter(|found| found.user_id == own);
    let duplicate = policy.duplicate(user_id.as_str(), &candidates, &thresholds);
    Ok(Known {
        palm_id: found.filter(passes).map(|found| found.id).next(),
        duplicate_of: duplicate.and_then(|other| other.user_id.parse().ok()),
    })
}

/// What the palm server knows of a palm, by the answer to a query before it is enrolled. The lock of a
/// template hides whose it is: the addition tells more.
///
/// # Errors
///
/// The verdict, when the answer leads to none; the query has added nothing.
pub(super) fn of_search(
    answer: &Result<Matches, Error>,
    tenant_id: &TenantId,
    user_id: &UserId,
    policy: &PalmPolicy,
) -> Result<Known, Verdict> {
    match answer {
        Ok(matches) => known(matches, tenant_id, user_id, policy).map_err(unjudged),
        Err(Error::Refused(Refusal::QueryTypeForbidden)) => Ok(Known::default()),
        Err(error) => Err(Verdict::undecided(match state_after(error) {
            VendorState::Unknown => VendorState::NotReached,
            known => known,
        })),
    }
}

fn unjudged(fault: VendorFault) -> Verdict {
    tracing::warn!(error = %fault, "the palm server's numbers cannot be judged");
    Verdict::undecided(VendorState::Answered)
}

/// How the palm server took a call that failed.
#[must_use]
pub(super) fn state_after(error: &Error) -> VendorState {
    match error {
        Error::Refused(refusal @ Refusal::StoreError) => VendorState::Refused(refusal.code()),
        Error::Refused(Refusal::Other(_)) => VendorState::Unknown,
        Error::Refused(_) => VendorState::Answered,
        error if error.may_have_happened() => VendorState::Unknown,
        _ => VendorState::NotReached,
    }
}

fn verify(
    matches: &Matches,
    tenant_id: &TenantId,
    user_id: &UserId,
    policy: &PalmPolicy,
) -> Result<VerifyOutcome, VendorFault> {
    let Some((candidates, thresholds)) = candidates(matches, tenant_id, policy)? else {
        return Ok(VerifyOutcome::NotFound);
    };
    Ok(policy.verify(user_id.as_str(), &candidates, &thresholds))
}

/// The tenant's candidates, and the thresholds to judge them by; `None` when the palm server has no
/// candidates, which need no thresholds.
fn candidates(
    matches: &Matches,
    tenant_id: &TenantId,
    policy: &PalmPolicy,
) -> Result<Option<(Vec<Candidate>, Thresholds)>, VendorFault> {
    if matches.results.is_empty() {
        return Ok(None);
    }
    let thresholds = Thresholds::parse(&matches.thresholds)?;
    policy.check_thresholds(&thresholds)?;
    let parsed = matches
        .results
        .iter()
        .map(|found| candidate(found, tenant_id));
    let candidates = parsed.filter_map(Result::transpose);
    Ok(Some((candidates.collect::<Result<_, _>>()?, thresholds)))
}

/// A candidate of the tenant; one of another tenant is none.
fn candidate(found: &Match, tenant_id: &TenantId) -> Result<Option<Candidate>, VendorFault> {
    let scores = Scores::parse(&found.scores)?;
    let of_tenant = found
        .user_id
        .split_once(':')
        .filter(|(t, _)| *t == tenant_id.as_str());
    Ok(of_tenant.map(|(_, user_id)| Candidate {
        user_id: user_id.to_owned(),
        scores,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(user_id: &str, score: f64) -> Match {
        Match {
            user_id: user_id.to_owned(),
            id: 7,
            query_type: None,
            scores: vec![score; 4],
        }
    }

    fn judged(results: Vec<Match>, thresholds: Vec<f64>) -> Verdict {
        query(Ok(Matches {
            results,
            thresholds,
        }))
    }

    fn query(answer: Result<Matches, Error>) -> Verdict {
        let (tenant, user) = ids();
        of_query(&answer, &tenant, &user, &PalmPolicy::default())
    }

    fn ids() -> (TenantId, UserId) {
        (TenantId::new("acme").unwrap(), "alice".parse().unwrap())
    }

    fn verify_outcome(verdict: Verdict) -> VerifyOutcome {
        assert_eq!(verdict.vendor, VendorState::Answered);
        match verdict.outcome {
            Outcome::Verify(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_candidate_of_another_tenant_is_no_candidate() {
        for (user_id, score, expected) in [
            ("acme:alice", 0.9, "match"),
            ("acme:alice", 0.5, "low_confidence"),
            ("acme:bob", 0.9, "identity_mismatch"),
            ("acme:bob", 0.5, "not_found"),
            ("other:alice", 0.9, "not_found"),
            ("alice", 0.9, "not_found"),
            ("acmealice", 0.9, "not_found"),
        ] {
            let outcome = verify_outcome(judged(vec![found(user_id, score)], vec![0.8; 4]));
            let name = match outcome {
                VerifyOutcome::Match { .. } => "match",
                VerifyOutcome::LowConfidence { .. } => "low_confidence",
                VerifyOutcome::IdentityMismatch { matched_user, .. } => {
                    assert_eq!(matched_user, "bob");
                    "identity_mismatch"
                }
                VerifyOutcome::NotFound => "not_found",
                VerifyOutcome::QueryTypeRestricted => "query_type_restricted",
            };
            assert_eq!(name, expected, "{user_id} {score}");
        }
    }

    #[test]
    fn no_candidates_need_no_thresholds() {
        assert_eq!(
            verify_outcome(judged(vec![], vec![])),
            VerifyOutcome::NotFound
        );
    }

    #[test]
    fn numbers_that_cannot_be_judged_decide_nothing() {
        let unjudged = Verdict::undecided(VendorState::Answered);
        assert_eq!(
            judged(vec![found("acme:alice", 0.9)], vec![0.8; 3]),
            unjudged
        );
        assert_eq!(
            judged(vec![found("acme:alice", f64::NAN)], vec![0.8; 4]),
            unjudged
        );
        assert_eq!(
            judged(vec![found("acme:alice", 0.9)], vec![0.8, 0.8, 0.0, 0.8]),
            unjudged
        );
        let mut short = found("other:bob", 0.9);
        short.scores.pop();
        assert_eq!(
            judged(vec![found("acme:alice", 0.9), short], vec![0.8; 4]),
            unjudged
        );
    }

    #[test]
    fn refusals_of_a_query_and_what_they_mean() {
        let refused = |refusal| query(Err(Error::Refused(refusal)));
        assert_eq!(
            verify_outcome(refused(Refusal::QueryTypeForbidden)),
            VerifyOutcome::QueryTypeRestricted
        );
        assert_eq!(
            refused(Refusal::StoreError),
            Verdict::undecided(VendorState::Refused(50000))
        );
        for refusal in [
            Refusal::InsertFailed,
            Refusal::NameDuplicated,
            Refusal::AlreadyRegistered,
        ] {
            assert_eq!(refused(refusal), Verdict::undecided(VendorState::Answered));
        }
    }

    #[test]
    fn answers_to_an_addition_and_what_they_mean() {
        let added = Added {
            user_id: "acme:alice".to_owned(),
            id: 42,
            query_type: None,
        };
        for (answer, outcome) in [
            (Ok(added), EnrollOutcome::Added { palm_id: 42 }),
            (
                Err(Refusal::AlreadyRegistered),
                EnrollOutcome::DuplicateBiometrics,
            ),
            (Err(Refusal::NameDuplicated), EnrollOutcome::AlreadyEnrolled),
            (Err(Refusal::InsertFailed), EnrollOutcome::LicenseCapacity),
            (
                Err(Refusal::QueryTypeForbidden),
                EnrollOutcome::QueryTypeRestricted,
            ),
        ] {
            let verdict = of_add(&answer.map_err(Error::Refused));
            assert_eq!(verdict, Verdict::answered(Outcome::Enroll(outcome)));
        }
    }

    #[test]
    fn an_addition_without_an_answer_may_have_happened() {
        let lost = Error::Timeout {
            limit: Duration::from_secs(3),
        };
        for (error, vendor) in [
            (lost, VendorState::Unknown),
            (Error::Status { status: 502 }, VendorState::Unknown),
            (Error::Refused(Refusal::Other(7)), VendorState::Unknown),
            (
                Error::Connect("connection refused".into()),
                VendorState::NotReached,
            ),
            (
                Error::Refused(Refusal::StoreError),
                VendorState::Refused(50000),
            ),
        ] {
            assert_eq!(of_add(&Err(error)), Verdict::undecided(vendor));
        }
    }

    fn looked_up(results: Vec<Match>) -> (Option<i64>, Option<String>) {
        let (tenant, user) = ids();
        let matches = Matches {
            results,
            thresholds: vec![0.8; 4],
        };
        let known = known(&matches, &tenant, &user, &PalmPolicy::default()).unwrap();
        (known.palm_id, known.duplicate_of.map(|id| id.to_string()))
    }

    #[test]
    fn a_lost_addition_is_found_again_by_the_palm_that_matches() {
        for (results, palm_id) in [
            (vec![found("acme:alice", 0.9)], Some(7)),
            (vec![found("acme:alice", 0.5)], None),
            (vec![found("acme:bob", 0.9)], None),
            (vec![found("other:alice", 0.9)], None),
            // Somebody who has the palm too does not hide it.
            (
                vec![found("acme:bob", 0.95), found("acme:alice", 0.9)],
                Some(7),
            ),
            (vec![], None),
        ] {
            assert_eq!(looked_up(results.clone()).0, palm_id, "{results:?}");
        }
    }

    #[test]
    fn a_duplicate_is_another_user_of_the_tenant_who_would_match() {
        for (results, duplicate_of) in [
            (vec![], None),
            (vec![found("acme:bob", 0.8)], Some("bob")),
            (vec![found("acme:bob", 0.79)], None),
            // Their other hand, or what is left of an addition.
            (vec![found("acme:alice", 0.9)], None),
            (vec![found("other:bob", 0.9)], None),
            (vec![found("bob", 0.9)], None),
            (
                vec![found("acme:alice", 0.95), found("acme:bob", 0.9)],
                Some("bob"),
            ),
            (
                vec![found("acme:bob", 0.9), found("acme:eve", 0.91)],
                Some("eve"),
            ),
            // Two users who have one palm are a tie, and match nobody's verification.
            (
                vec![found("acme:bob", 0.9), found("acme:eve", 0.9)],
                Some("eve"),
            ),
        ] {
            let looked_up = looked_up(results.clone()).1;
            assert_eq!(looked_up.as_deref(), duplicate_of, "{results:?}");
        }
    }

    #[test]
    fn a_search_that_fails_has_added_nothing() {
        let (tenant, user) = ids();
        let search = |error| of_search(&Err(error), &tenant, &user, &PalmPolicy::default());
        let undecided = |vendor| Err(Verdict::undecided(vendor));
        let limit = Duration::from_secs(3);
        for (error, expected) in [
            (
                Error::Refused(Refusal::QueryTypeForbidden),
                Ok(Known::default()),
            ),
            (Error::Timeout { limit }, undecided(VendorState::NotReached)),
            (
                Error::Status { status: 502 },
                undecided(VendorState::NotReached),
            ),
            (
                Error::Refused(Refusal::StoreError),
                undecided(VendorState::Refused(50000)),
            ),
        ] {
            assert_eq!(search(error), expected);
        }
    }

    #[test]
    fn numbers_that_cannot_be_judged_tell_of_no_palm() {
        let (tenant, user) = ids();
        for (scores, thresholds) in [(3, 4), (5, 4), (4, 3), (4, 0)] {
            let mut candidate = found("other:bob", 0.9);
            candidate.scores = vec![0.9; scores];
            let matches = Matches {
                results: vec![candidate],
                thresholds: vec![0.8; thresholds],
            };
            let known = known(&matches, &tenant, &user, &PalmPolicy::default());
            assert!(known.is_err(), "{scores} and {thresholds}");
        }
    }
}
