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

    fn answered(outcome: Outcome) -> Self {
        Self {
            outcome,
            vendor: VendorState::Answered,
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
        Ok(matches) => match verify(matches, tenant_id, user_id, policy) {
            Ok(outcome) => Verdict::answered(Outcome::Verify(outcome)),
            Err(fault) => {
                tracing::warn!(error = %fault, "the palm server's numbers cannot be judged");
                Verdict::undecided(VendorState::Answered)
            }
        },
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

/// The palm server's number of the template of `user_id` that the sample matches: an addition whose
/// answer was lost has happened.
#[must_use]
pub(super) fn enrolled_before(
    matches: &Matches,
    tenant_id: &TenantId,
    user_id: &UserId,
    policy: &PalmPolicy,
) -> Option<i64> {
    let outcome = verify(matches, tenant_id, user_id, policy).ok()?;
    let vendor_id = vendor_user_id(tenant_id, user_id);
    matches!(outcome, VerifyOutcome::Match { .. })
        .then(|| {
            matches
                .results
                .iter()
                .find(|candidate| candidate.user_id == vendor_id)
        })?
        .map(|candidate| candidate.id)
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
    if matches.results.is_empty() {
        return Ok(VerifyOutcome::NotFound);
    }
    let thresholds = Thresholds::parse(&matches.thresholds)?;
    let parsed = matches
        .results
        .iter()
        .map(|found| candidate(found, tenant_id));
    let candidates: Vec<Candidate> = parsed
        .filter_map(Result::transpose)
        .collect::<Result<_, _>>()?;
    Ok(policy.verify(user_id.as_str(), &candidates, &thresholds))
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

    #[test]
    fn a_lost_addition_is_found_again_by_the_palm_that_matches() {
        let (tenant, user) = ids();
        let before = |results| {
            let matches = Matches {
                results,
                thresholds: vec![0.8; 4],
            };
            enrolled_before(&matches, &tenant, &user, &PalmPolicy::default())
        };
        assert_eq!(before(vec![found("acme:alice", 0.9)]), Some(7));
        assert_eq!(before(vec![found("acme:alice", 0.5)]), None);
        assert_eq!(before(vec![found("acme:bob", 0.9)]), None);
        assert_eq!(before(vec![found("other:alice", 0.9)]), None);
        assert_eq!(before(vec![]), None);
    }
}
