//! The table of contract §8, row by row: what the device is told.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use identity_challenge::{
    Answer, Challenge, ChallengeKind, ChallengeRecord, ChallengeStatus, EnrollOutcome, Error,
    FailedAnswer, MaxAttempts, Outcome, PalmType, ReasonCode, RecordRule, Refusal, Scores,
    StatusReason, Ttl, Undecided, VerifyOutcome,
};
use time::OffsetDateTime;

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
const ENROLL: ChallengeKind = ChallengeKind::Enroll {
    palm_type: PalmType::Right,
};

fn open(kind: ChallengeKind) -> Challenge {
    Challenge::open(kind, MaxAttempts::default(), Ttl::default(), NOW)
}

fn scores() -> Scores {
    Scores::parse(&[0.9; 4]).unwrap()
}

fn failed(challenge: &Challenge, outcome: &Outcome) -> (Challenge, FailedAnswer) {
    let completion = challenge.complete(outcome, NOW).unwrap();
    match completion.answer {
        Answer::Failed(answer) => {
            assert_eq!(answer.challenge_status, completion.challenge.status());
            (completion.challenge, answer)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_match_completes_and_shows_the_scores() {
    let outcome = Outcome::Verify(VerifyOutcome::Match { scores: scores() });
    let completion = open(ChallengeKind::Verify).complete(&outcome, NOW).unwrap();
    assert_eq!(completion.answer, Answer::Completed { scores: scores() });
    assert_eq!(
        completion.challenge.status_reason(),
        Some(StatusReason::Matched)
    );
    assert_eq!(completion.challenge.completed_at(), Some(NOW));
}

#[test]
fn a_failed_try_leaves_the_others_and_the_last_one_hides_its_cause() {
    let rows = [
        (
            VerifyOutcome::NotFound,
            ReasonCode::NotFound,
            "Palm not recognized",
        ),
        (
            VerifyOutcome::LowConfidence { scores: scores() },
            ReasonCode::LowConfidence,
            "Low confidence",
        ),
        (
            VerifyOutcome::IdentityMismatch {
                matched_user: "other".into(),
                scores: scores(),
            },
            ReasonCode::IdentityMismatch,
            "Identity mismatch",
        ),
    ];
    for (outcome, code, text) in rows {
        let outcome = Outcome::Verify(outcome);
        let mut challenge = open(ChallengeKind::Verify);
        for remaining in [2, 1] {
            let (next, answer) = failed(&challenge, &outcome);
            assert_eq!(answer.reason_code, code);
            assert_eq!(answer.reason(), Some(text));
            assert_eq!(answer.challenge_status, ChallengeStatus::InProgress);
            assert_eq!(answer.attempts_remaining, Some(remaining));
            challenge = next;
        }
        let (ended, answer) = failed(&challenge, &outcome);
        assert_eq!(answer.reason_code, ReasonCode::MaxAttempts);
        assert_eq!(answer.reason(), Some("Max attempts exceeded"));
        assert_eq!(answer.attempts_remaining, Some(0));
        assert_eq!(ended.status_reason(), Some(StatusReason::MaxAttempts));
        assert_eq!(
            ended.complete(&outcome, NOW),
            Err(Refusal::Terminal {
                status: ChallengeStatus::Failed
            })
        );
    }
}

#[test]
fn an_enrolment_is_decided_at_its_first_answer() {
    let added = Outcome::Enroll(EnrollOutcome::Added { palm_id: 100_001 });
    let completion = open(ENROLL).complete(&added, NOW).unwrap();
    assert_eq!(completion.answer, Answer::Enrolled { palm_id: 100_001 });
    assert_eq!(
        completion.challenge.status_reason(),
        Some(StatusReason::Enrolled)
    );

    for (outcome, code, text) in [
        (
            EnrollOutcome::DuplicateBiometrics,
            "duplicate_biometrics",
            "Biometrics already registered",
        ),
        (
            EnrollOutcome::AlreadyEnrolled,
            "already_enrolled",
            "Already enrolled",
        ),
        (
            EnrollOutcome::LicenseCapacity,
            "license_capacity",
            "Service unavailable",
        ),
        (
            EnrollOutcome::QueryTypeRestricted,
            "query_type_restricted",
            "Palm verification disabled for this user",
        ),
    ] {
        let (ended, answer) = failed(&open(ENROLL), &Outcome::Enroll(outcome));
        assert_eq!(
            (answer.reason_code.as_str(), answer.reason()),
            (code, Some(text))
        );
        assert_eq!(answer.attempts_remaining, None);
        assert_eq!(ended.status_reason().map(StatusReason::as_str), Some(code));
        assert_eq!(ended.attempts().used(), 0);
    }
}

#[test]
fn a_type_that_the_palm_server_locked_ends_a_verification() {
    let outcome = Outcome::Verify(VerifyOutcome::QueryTypeRestricted);
    let (ended, answer) = failed(&open(ChallengeKind::Verify), &outcome);
    assert_eq!(
        answer.reason(),
        Some("Palm verification disabled for this user")
    );
    assert_eq!(
        ended.status_reason(),
        Some(StatusReason::QueryTypeRestricted)
    );
}

#[test]
fn a_sample_that_was_not_decided_on_consumes_no_try() {
    let retry_after = Duration::from_secs(2);
    let rows = [
        (
            Undecided::ServiceUnavailable { retry_after },
            Some("Service unavailable"),
            None,
            Some(retry_after),
        ),
        (
            Undecided::Throttled { retry_after },
            None,
            None,
            Some(retry_after),
        ),
        (
            Undecided::CaptureReplayed,
            Some("Capture replayed"),
            Some(3),
            None,
        ),
    ];
    for kind in [ChallengeKind::Verify, ENROLL] {
        for (undecided, reason, attempts_remaining, retry_after) in rows {
            let (next, answer) = failed(&open(kind), &Outcome::Undecided(undecided));
            assert_eq!(next.status(), ChallengeStatus::InProgress);
            assert_eq!(next.attempts().used(), 0);
            assert_eq!(answer.reason(), reason);
            assert_eq!(answer.attempts_remaining, attempts_remaining);
            assert_eq!(answer.retry_after, retry_after);
        }
    }
}

#[test]
fn an_outcome_of_the_other_kind_is_refused() {
    let outcome = Outcome::Enroll(EnrollOutcome::Added { palm_id: 1 });
    assert_eq!(
        open(ChallengeKind::Verify).complete(&outcome, NOW),
        Err(Refusal::OtherKind {
            kind: ChallengeKind::Verify
        })
    );
}

#[test]
fn a_row_that_the_machine_cannot_have_written_is_refused() {
    type Damage = fn(&mut ChallengeRecord);
    let damages: [(&str, Damage); 8] = [
        ("a reason without an end", |r| {
            r.status_reason = Some(StatusReason::Matched);
        }),
        ("an end without a reason", |r| r.completed_at = Some(NOW)),
        ("terminal without either", |r| {
            r.status = ChallengeStatus::Completed;
        }),
        ("another status than the reason's", |r| {
            r.status = ChallengeStatus::Denied;
            r.status_reason = Some(StatusReason::Matched);
            r.completed_at = Some(NOW);
        }),
        ("tries before the claim", |r| r.attempts_used = 1),
        ("more tries than there were", |r| {
            r.status = ChallengeStatus::InProgress;
            r.attempts_used = 4;
        }),
        ("open with no try left", |r| {
            r.status = ChallengeStatus::InProgress;
            r.attempts_used = 3;
        }),
        ("over before it began", |r| r.expires_at = r.created_at),
    ];
    for (what, damage) in damages {
        let mut record = open(ChallengeKind::Verify).record();
        assert!(Challenge::try_from(record).is_ok());
        damage(&mut record);
        assert!(
            matches!(Challenge::try_from(record), Err(Error::Record(_))),
            "{what}"
        );
    }
}

#[test]
fn the_columns_type_and_palm_type_are_read_together() {
    let left = Some(PalmType::Left);
    assert_eq!(
        ChallengeKind::stored("verify", None),
        Ok(ChallengeKind::Verify)
    );
    assert_eq!(
        ChallengeKind::stored("enroll", left).map(ChallengeKind::palm_type),
        Ok(left)
    );
    for (kind, palm_type) in [("verify", left), ("enroll", None)] {
        assert_eq!(
            ChallengeKind::stored(kind, palm_type),
            Err(Error::Record(RecordRule::PalmType { palm_type, kind }))
        );
    }
    assert!(matches!(
        ChallengeKind::stored("Verify", None),
        Err(Error::UnknownName { .. })
    ));
}
