//! What came of attempts.

use identity_challenge::{EnrollOutcome, Outcome, Scores, Undecided, VerifyOutcome};

use crate::{AttemptVerdict, VendorState};

pub(super) fn scores() -> Scores {
    Scores::parse(&[0.91, 0.875, 0.5, 1.0]).unwrap()
}

fn verdict(outcome: Outcome, vendor: VendorState) -> AttemptVerdict {
    AttemptVerdict {
        outcome,
        policy_version: Some("p1".to_owned()),
        receipt: None,
        duplicate_of: None,
        vendor_request_id: Some("5f0c7b1e".to_owned()),
        vendor,
    }
}

/// The palm server decided on a verification.
pub(super) fn verified(outcome: VerifyOutcome) -> AttemptVerdict {
    verdict(Outcome::Verify(outcome), VendorState::Answered)
}

/// The palm was the user's.
pub(super) fn matched() -> AttemptVerdict {
    AttemptVerdict {
        receipt: Some("eyJ.receipt".to_owned()),
        ..verified(VerifyOutcome::Match { scores: scores() })
    }
}

/// The palm was nobody's.
pub(super) fn not_found() -> AttemptVerdict {
    verified(VerifyOutcome::NotFound)
}

/// The palm server decided on an enrolment.
pub(super) fn enrolled(outcome: EnrollOutcome) -> AttemptVerdict {
    verdict(Outcome::Enroll(outcome), VendorState::Answered)
}

/// The palm was enrolled under that number.
pub(super) fn added(palm_id: i64) -> AttemptVerdict {
    enrolled(EnrollOutcome::Added { palm_id })
}

/// The palm server did not decide.
pub(super) fn undecided(vendor: VendorState) -> AttemptVerdict {
    let retry_after = std::time::Duration::from_secs(1);
    verdict(
        Outcome::Undecided(Undecided::ServiceUnavailable { retry_after }),
        vendor,
    )
}

/// The palm is that user's too.
pub(super) fn duplicate(outcome: EnrollOutcome, of: &str) -> AttemptVerdict {
    AttemptVerdict {
        duplicate_of: Some(of.parse().unwrap()),
        ..enrolled(outcome)
    }
}
