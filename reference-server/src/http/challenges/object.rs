//! The challenge object of the contract (§8), as integrators and as devices see it.

use identity_challenge::{
    Challenge, ChallengeKind, ChallengeStatus, Event, PalmType, StatusReason,
};
use identity_pki::DeviceId;
use identity_store::{ChallengeId, StoredChallenge, UserId};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::http::Timestamp;

/// A challenge, as its tenant sees it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Challenge)]
pub(in crate::http) struct ChallengeObject {
    #[schema(value_type = String)]
    challenge_id: ChallengeId,
    /// `verify` or `enroll`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The palm that an enrolment asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    palm_type: Option<PalmType>,
    #[schema(value_type = String)]
    status: ChallengeStatus,
    #[schema(value_type = Option<String>)]
    status_reason: Option<StatusReason>,
    #[schema(value_type = String)]
    user_id: UserId,
    #[schema(value_type = String)]
    device_id: DeviceId,
    context: String,
    #[schema(value_type = Object)]
    metadata: Value,
    client_reference: Option<String>,
    attempts_used: u8,
    attempts_remaining: u8,
    created_at: Timestamp,
    expires_at: Timestamp,
    completed_at: Option<Timestamp>,
    /// The palm server's scores of a match.
    #[serde(skip_serializing_if = "Option::is_none")]
    scores: Option<[f64; 4]>,
    /// The verification receipt of a match, a compact JWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
}

impl ChallengeObject {
    /// `record` as it is at `now`.
    pub(in crate::http) fn of(record: StoredChallenge, now: OffsetDateTime) -> Self {
        let challenge = as_of(record.challenge, now);
        Self {
            challenge_id: record.challenge_id,
            kind: challenge.kind().as_str(),
            palm_type: palm_type(challenge.kind()),
            status: challenge.status(),
            status_reason: challenge.status_reason(),
            user_id: record.user_id,
            device_id: record.device_id,
            context: record.context,
            metadata: record.metadata,
            client_reference: record.client_reference,
            attempts_used: challenge.attempts().used(),
            attempts_remaining: challenge.attempts().remaining(),
            created_at: Timestamp(challenge.created_at()),
            expires_at: Timestamp(challenge.expires_at()),
            completed_at: challenge.completed_at().map(Timestamp),
            scores: record.scores,
            receipt: record.receipt,
        }
    }
}

/// A challenge that was just created.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CreatedChallenge {
    #[schema(value_type = String)]
    challenge_id: ChallengeId,
    /// `verify` or `enroll`.
    #[serde(rename = "type")]
    kind: &'static str,
    #[schema(value_type = String)]
    status: ChallengeStatus,
    expires_at: Timestamp,
}

impl CreatedChallenge {
    pub(super) fn of(challenge_id: ChallengeId, challenge: &Challenge) -> Self {
        Self {
            challenge_id,
            kind: challenge.kind().as_str(),
            status: challenge.status(),
            expires_at: Timestamp(challenge.expires_at()),
        }
    }
}

/// A challenge, as its device sees it: without the integrator's metadata, and with the user only
/// where the device has to name one.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeviceChallenge {
    #[schema(value_type = String)]
    challenge_id: ChallengeId,
    /// `verify` or `enroll`.
    #[serde(rename = "type")]
    kind: &'static str,
    context: String,
    /// Of an enrolment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
    /// Of an enrolment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    palm_type: Option<PalmType>,
    #[schema(value_type = Option<Object>)]
    display: Option<Value>,
    binding_message: Option<String>,
    nonce: String,
    #[schema(value_type = String)]
    status: ChallengeStatus,
    expires_at: Timestamp,
    attempts_remaining: u8,
}

impl From<StoredChallenge> for DeviceChallenge {
    fn from(record: StoredChallenge) -> Self {
        let challenge = record.challenge;
        let palm_type = palm_type(challenge.kind());
        Self {
            challenge_id: record.challenge_id,
            kind: challenge.kind().as_str(),
            context: record.context,
            user_id: palm_type.map(|_| record.user_id),
            palm_type,
            display: record.display,
            binding_message: record.binding_message,
            nonce: record.nonce,
            status: challenge.status(),
            expires_at: Timestamp(challenge.expires_at()),
            attempts_remaining: challenge.attempts().remaining(),
        }
    }
}

fn palm_type(kind: ChallengeKind) -> Option<PalmType> {
    match kind {
        ChallengeKind::Verify => None,
        ChallengeKind::Enroll { palm_type } => Some(palm_type),
    }
}

/// The challenge at `now`: one that is overdue has expired, whether or not the sweeper was there.
fn as_of(challenge: Challenge, now: OffsetDateTime) -> Challenge {
    if challenge.is_overdue(now) {
        challenge
            .apply(Event::Expire, challenge.expires_at())
            .unwrap_or(challenge)
    } else {
        challenge
    }
}

#[cfg(test)]
mod tests {
    use identity_challenge::{MaxAttempts, Ttl};
    use identity_pki::TenantId;
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    const CREATED: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

    fn record(kind: ChallengeKind) -> StoredChallenge {
        StoredChallenge {
            tenant_id: TenantId::new("acme").unwrap(),
            challenge_id: "ch_01jd8z6m3w0000000000000000".parse().unwrap(),
            challenge: Challenge::open(kind, MaxAttempts::default(), Ttl::default(), CREATED),
            user_id: "user_456".parse().unwrap(),
            internal_user_id: "usr_01jd8z6m3w0000000000000000".parse().unwrap(),
            device_id: DeviceId::new("dev_789").unwrap(),
            client_id: Some("cli_01jd8z6m3w0000000000000000".parse().unwrap()),
            context: "e_signature".to_owned(),
            metadata: json!({"document_id": "doc_123"}),
            display: None,
            binding_message: Some("7Q".to_owned()),
            client_reference: None,
            nonce: "n".to_owned(),
            scores: None,
            receipt: None,
        }
    }

    #[test]
    fn the_object_has_the_members_of_the_contract() {
        let object = ChallengeObject::of(record(ChallengeKind::Verify), CREATED);
        assert_eq!(
            serde_json::to_value(object).unwrap(),
            json!({
                "challenge_id": "ch_01jd8z6m3w0000000000000000", "type": "verify",
                "status": "pending", "status_reason": null, "user_id": "user_456",
                "device_id": "dev_789", "context": "e_signature",
                "metadata": {"document_id": "doc_123"}, "client_reference": null,
                "attempts_used": 0, "attempts_remaining": 3,
                "created_at": "2026-11-22T12:00:00.000Z",
                "expires_at": "2026-11-22T12:02:00.000Z", "completed_at": null,
            })
        );
    }

    #[test]
    fn an_overdue_challenge_reads_as_expired_before_the_sweeper_came() {
        let late = datetime!(2026-11-22 12:02:00.5 UTC);
        let object = ChallengeObject::of(record(ChallengeKind::Verify), late);
        let shown = serde_json::to_value(object).unwrap();
        assert_eq!(shown["status"], "expired");
        assert_eq!(shown["status_reason"], "expired");
        assert_eq!(shown["completed_at"], "2026-11-22T12:02:00.000Z");
    }

    #[test]
    fn a_device_sees_no_metadata_and_a_user_only_to_enrol_them() {
        let verify = DeviceChallenge::from(record(ChallengeKind::Verify));
        assert_eq!(
            serde_json::to_value(verify).unwrap(),
            json!({
                "challenge_id": "ch_01jd8z6m3w0000000000000000", "type": "verify",
                "context": "e_signature", "display": null, "binding_message": "7Q",
                "nonce": "n", "status": "pending", "expires_at": "2026-11-22T12:02:00.000Z",
                "attempts_remaining": 3,
            })
        );
        let enroll = ChallengeKind::Enroll {
            palm_type: PalmType::Right,
        };
        let shown = serde_json::to_value(DeviceChallenge::from(record(enroll))).unwrap();
        assert_eq!(shown["user_id"], "user_456");
        assert_eq!(shown["palm_type"], "right");
    }
}
