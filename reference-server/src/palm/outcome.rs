use identity_challenge::{Answer, ChallengeStatus, FailedAnswer, ReasonCode, StatusReason};
use identity_store::{StoredChallenge, rfc3339};
use serde::Serialize;

use super::verdict::RETRY_AFTER;

/// What a device is told about a sample, always with status 200 (contract §8).
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum CompletionBody {
    /// The palm was the expected user's.
    Completed {
        /// `completed`.
        challenge_status: &'static str,
        /// The user.
        user_id: String,
        /// The palm server's scores.
        scores: [f64; 4],
        /// When it was decided.
        timestamp: String,
        /// The verification receipt, a compact JWS.
        receipt: String,
    },
    /// The palm is the user's from now on.
    Enrolled {
        /// `completed`.
        challenge_status: &'static str,
        /// The user.
        user_id: String,
        /// Since when.
        enrolled_at: String,
    },
    /// The sample did not lead to the goal.
    Failed {
        /// `in_progress` when the device may go on, else `failed`.
        challenge_status: &'static str,
        /// Why, for people.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'static str>,
        /// Why, for programs.
        reason_code: &'static str,
        /// Tries left.
        #[serde(skip_serializing_if = "Option::is_none")]
        attempts_remaining: Option<u8>,
        /// When to come again.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
}

impl CompletionBody {
    /// The body for an answer to a sample that left the challenge as `record`.
    #[must_use]
    pub fn of(record: &StoredChallenge, answer: &Answer) -> Self {
        match answer {
            Answer::Completed { scores } => Self::completed(record, *scores.as_array()),
            Answer::Enrolled { .. } => Self::enrolled(record),
            Answer::Failed(failed) => Self::failed(failed),
        }
    }

    /// The body that an attempt was answered with which is over: for this reason, when the palm server had
    /// decided on so many samples. `record` may have moved on since. `None` when the attempt came too late.
    #[must_use]
    pub fn of_attempt(
        record: &StoredChallenge,
        reason_code: Option<ReasonCode>,
        decided: u8,
    ) -> Option<Self> {
        reason_code
            .and_then(|code| Self::that_failed(record, code, decided))
            .or_else(|| Self::that_ended(record))
    }

    /// The body that the sample which ended the challenge was answered with; `None` for a challenge
    /// that is open or that no sample ended.
    fn that_ended(record: &StoredChallenge) -> Option<Self> {
        let reason_code = match record.challenge.status_reason()? {
            StatusReason::Matched => return Some(Self::completed(record, record.scores?)),
            StatusReason::Enrolled => return Some(Self::enrolled(record)),
            StatusReason::MaxAttempts => ReasonCode::MaxAttempts,
            StatusReason::DuplicateBiometrics => ReasonCode::DuplicateBiometrics,
            StatusReason::AlreadyEnrolled => ReasonCode::AlreadyEnrolled,
            StatusReason::LicenseCapacity => ReasonCode::LicenseCapacity,
            StatusReason::QueryTypeRestricted => ReasonCode::QueryTypeRestricted,
            StatusReason::DeniedAtDevice
            | StatusReason::CanceledByIntegrator
            | StatusReason::DeviceRevoked
            | StatusReason::UserBarred
            | StatusReason::ConsentWithdrawn
            | StatusReason::Expired => return None,
        };
        let remaining = record.challenge.attempts().remaining();
        Some(Self::failed(&FailedAnswer {
            challenge_status: record.challenge.status(),
            reason_code,
            attempts_remaining: (remaining == 0).then_some(0),
            retry_after: None,
        }))
    }

    /// The body that a sample was answered with which left the challenge open; `None` for a reason that
    /// leaves none open.
    fn that_failed(record: &StoredChallenge, reason_code: ReasonCode, decided: u8) -> Option<Self> {
        let (attempts_remaining, retry_after) = match reason_code {
            ReasonCode::NotFound | ReasonCode::LowConfidence | ReasonCode::IdentityMismatch => {
                let tries = record.challenge.attempts().max().get();
                (Some(tries.saturating_sub(decided)), None)
            }
            ReasonCode::ServiceUnavailable => (None, Some(RETRY_AFTER)),
            ReasonCode::CaptureReplayed
            | ReasonCode::Throttled
            | ReasonCode::MaxAttempts
            | ReasonCode::DuplicateBiometrics
            | ReasonCode::AlreadyEnrolled
            | ReasonCode::LicenseCapacity
            | ReasonCode::QueryTypeRestricted => return None,
        };
        Some(Self::failed(&FailedAnswer {
            challenge_status: ChallengeStatus::InProgress,
            reason_code,
            attempts_remaining,
            retry_after,
        }))
    }

    fn completed(record: &StoredChallenge, scores: [f64; 4]) -> Self {
        Self::Completed {
            challenge_status: record.challenge.status().as_str(),
            user_id: record.user_id.to_string(),
            scores,
            timestamp: ended_at(record),
            receipt: record.receipt.clone().unwrap_or_default(),
        }
    }

    fn enrolled(record: &StoredChallenge) -> Self {
        Self::Enrolled {
            challenge_status: record.challenge.status().as_str(),
            user_id: record.user_id.to_string(),
            enrolled_at: ended_at(record),
        }
    }

    fn failed(failed: &FailedAnswer) -> Self {
        let millis = |after: std::time::Duration| u64::try_from(after.as_millis());
        Self::Failed {
            challenge_status: failed.challenge_status.as_str(),
            reason: failed.reason(),
            reason_code: failed.reason_code.as_str(),
            attempts_remaining: failed.attempts_remaining,
            retry_after_ms: failed
                .retry_after
                .map(|after| millis(after).unwrap_or(u64::MAX)),
        }
    }

    /// What kind of outcome it is, for the metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Completed { .. } => "completed",
            Self::Enrolled { .. } => "enrolled",
            Self::Failed { reason_code, .. } => reason_code,
        }
    }
}

fn ended_at(record: &StoredChallenge) -> String {
    record
        .challenge
        .completed_at()
        .map(rfc3339)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use identity_challenge::{
        CancelReason, Challenge, ChallengeKind, EnrollOutcome, Event, MaxAttempts, Outcome,
        PalmType, Scores, Ttl, Undecided, VerifyOutcome,
    };
    use identity_pki::{DeviceId, TenantId};
    use serde_json::{Value, json};
    use time::macros::datetime;

    use super::*;

    const ENROLL: ChallengeKind = ChallengeKind::Enroll {
        palm_type: PalmType::Left,
    };

    fn record(kind: ChallengeKind, tries: u32) -> StoredChallenge {
        let now = datetime!(2026-11-22 12:00 UTC);
        let max_attempts = MaxAttempts::new(tries).unwrap();
        StoredChallenge {
            tenant_id: TenantId::new("acme").unwrap(),
            challenge_id: "ch_01jd8z6m3w0000000000000000".parse().unwrap(),
            challenge: Challenge::open(kind, max_attempts, Ttl::default(), now),
            user_id: "user_456".parse().unwrap(),
            internal_user_id: "usr_01jd8z6m3w0000000000000000".parse().unwrap(),
            device_id: DeviceId::new("dev_789").unwrap(),
            client_id: Some("cli_01jd8z6m3w0000000000000000".parse().unwrap()),
            context: "e_signature".to_owned(),
            metadata: json!({}),
            display: None,
            binding_message: None,
            client_reference: None,
            nonce: "nonce".to_owned(),
            scores: Some([0.9; 4]),
            receipt: Some("a.b.c".to_owned()),
        }
    }

    /// The record after a sample, and the body that the device gets.
    fn sample(mut record: StoredChallenge, outcome: Outcome) -> (StoredChallenge, CompletionBody) {
        let at = datetime!(2026-11-22 12:00:08 UTC);
        let completion = record.challenge.complete(&outcome, at).unwrap();
        record.challenge = completion.challenge;
        let body = CompletionBody::of(&record, &completion.answer);
        (record, body)
    }

    fn verify(tries: u32, outcome: VerifyOutcome) -> (StoredChallenge, CompletionBody) {
        sample(
            record(ChallengeKind::Verify, tries),
            Outcome::Verify(outcome),
        )
    }

    fn shown(body: &CompletionBody) -> Value {
        serde_json::to_value(body).unwrap()
    }

    #[test]
    fn success_is_told_as_the_contract_tells_it() {
        let scores = Scores::parse(&[0.9; 4]).unwrap();
        let (_, body) = verify(3, VerifyOutcome::Match { scores });
        assert_eq!(
            shown(&body),
            json!({
                "status": "completed", "challenge_status": "completed", "user_id": "user_456",
                "scores": [0.9, 0.9, 0.9, 0.9], "timestamp": "2026-11-22T12:00:08.000Z",
                "receipt": "a.b.c",
            })
        );
        let added = Outcome::Enroll(EnrollOutcome::Added { palm_id: 7 });
        let (_, body) = sample(record(ENROLL, 3), added);
        assert_eq!(
            shown(&body),
            json!({
                "status": "enrolled", "challenge_status": "completed", "user_id": "user_456",
                "enrolled_at": "2026-11-22T12:00:08.000Z",
            })
        );
    }

    #[test]
    fn a_failed_try_tells_how_many_are_left_and_the_last_one_hides_its_cause() {
        let (_, body) = verify(3, VerifyOutcome::NotFound);
        assert_eq!(
            shown(&body),
            json!({
                "status": "failed", "challenge_status": "in_progress",
                "reason": "Palm not recognized", "reason_code": "not_found",
                "attempts_remaining": 2,
            })
        );
        let (_, body) = verify(1, VerifyOutcome::NotFound);
        assert_eq!(
            shown(&body),
            json!({
                "status": "failed", "challenge_status": "failed",
                "reason": "Max attempts exceeded", "reason_code": "max_attempts",
                "attempts_remaining": 0,
            })
        );
    }

    #[test]
    fn time_that_has_to_pass_is_told_in_milliseconds() {
        let retry_after = std::time::Duration::from_millis(1500);
        let undecided = Outcome::Undecided(Undecided::Throttled { retry_after });
        let (_, body) = sample(record(ChallengeKind::Verify, 3), undecided);
        assert_eq!(
            shown(&body),
            json!({
                "status": "failed", "challenge_status": "in_progress",
                "reason_code": "throttled", "retry_after_ms": 1500,
            })
        );
    }

    #[test]
    fn a_sample_that_ended_a_challenge_can_be_answered_again_from_the_record() {
        let scores = Scores::parse(&[0.9; 4]).unwrap();
        let enroll = |outcome| sample(record(ENROLL, 3), Outcome::Enroll(outcome));
        for (record, body) in [
            verify(3, VerifyOutcome::Match { scores }),
            verify(1, VerifyOutcome::NotFound),
            verify(3, VerifyOutcome::QueryTypeRestricted),
            enroll(EnrollOutcome::Added { palm_id: 7 }),
            enroll(EnrollOutcome::DuplicateBiometrics),
            enroll(EnrollOutcome::AlreadyEnrolled),
            enroll(EnrollOutcome::LicenseCapacity),
            enroll(EnrollOutcome::QueryTypeRestricted),
        ] {
            assert_eq!(CompletionBody::that_ended(&record), Some(body));
        }
    }

    #[test]
    fn a_sample_that_ended_nothing_can_be_answered_again_after_later_ones() {
        let retry_after = RETRY_AFTER;
        let down = Undecided::ServiceUnavailable { retry_after };
        let scores = Scores::parse(&[0.5; 4]).unwrap();
        let matched_user = "bob".to_owned();
        let later = Outcome::Verify(VerifyOutcome::Match { scores });
        for (outcome, decided) in [
            (Outcome::Verify(VerifyOutcome::NotFound), 1),
            (Outcome::Verify(VerifyOutcome::LowConfidence { scores }), 1),
            (
                Outcome::Verify(VerifyOutcome::IdentityMismatch {
                    matched_user,
                    scores,
                }),
                1,
            ),
            (Outcome::Undecided(down), 0),
        ] {
            let before = record(ChallengeKind::Verify, 3);
            let at = before.challenge.created_at();
            let answer = before.challenge.complete(&outcome, at).unwrap().answer;
            let (after, body) = sample(before, outcome);
            let (ended, _) = sample(after.clone(), later.clone());
            for record in [after, ended] {
                let again = CompletionBody::of_attempt(&record, answer.reason_code(), decided);
                assert_eq!(again.as_ref(), Some(&body));
            }
        }
    }

    #[test]
    fn what_no_sample_ended_has_no_answer_to_repeat() {
        let open = record(ChallengeKind::Verify, 3);
        assert_eq!(CompletionBody::that_ended(&open), None);
        let mut canceled = open;
        let at = canceled.challenge.created_at();
        let event = Event::Cancel(CancelReason::Integrator);
        canceled.challenge = canceled.challenge.apply(event, at).unwrap();
        assert_eq!(CompletionBody::that_ended(&canceled), None);
    }
}
