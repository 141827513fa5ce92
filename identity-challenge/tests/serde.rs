//! JSON, with the contract's spellings.

use identity_challenge::{
    CancelReason, Challenge, ChallengeKind, Event, MaxAttempts, PalmPolicy, PalmType, Ttl,
};
use serde_json::{Value, from_value, json, to_value};
use time::OffsetDateTime;

fn contract_policy() -> Value {
    json!({"mode": "all", "k": 4, "weights": [1.0, 1.0, 1.0, 1.0],
           "threshold_offset": [0.0, 0.0, 0.0, 0.0], "use": [0, 1, 2, 3], "min_margin": 0.0})
}

#[test]
fn the_default_policy_is_the_contracts_and_comes_back_unchanged() {
    assert_eq!(to_value(PalmPolicy::default()).unwrap(), contract_policy());
    assert_eq!(
        from_value::<PalmPolicy>(contract_policy()).unwrap(),
        PalmPolicy::default()
    );
    assert_eq!(
        from_value::<PalmPolicy>(json!({})).unwrap(),
        PalmPolicy::default()
    );
}

#[test]
fn a_policy_with_a_bad_member_is_refused() {
    for (member, value) in [
        ("mode", json!("any")),
        ("k", json!(5)),
        ("weights", json!([1.0, 1.0, 1.0])),
        ("threshold_offset", json!([-0.1, 0.0, 0.0, 0.0])),
        ("use", json!([])),
        ("min_margin", json!(-1.0)),
        ("unknown", json!(1)),
    ] {
        let mut policy = contract_policy();
        policy[member] = value;
        assert!(from_value::<PalmPolicy>(policy).is_err(), "{member}");
    }
}

#[test]
fn a_challenge_survives_its_json() {
    let now = OffsetDateTime::UNIX_EPOCH;
    let kind = ChallengeKind::Enroll {
        palm_type: PalmType::Left,
    };
    let challenge = Challenge::open(kind, MaxAttempts::default(), Ttl::default(), now)
        .apply(Event::Cancel(CancelReason::DeviceRevoked), now)
        .unwrap();
    let value = to_value(challenge).unwrap();
    assert_eq!(
        value,
        json!({"type": "enroll", "palm_type": "left", "status": "canceled",
               "status_reason": "device_revoked", "attempts_used": 0, "max_attempts": 3,
               "created_at": "1970-01-01T00:00:00Z", "expires_at": "1970-01-01T00:02:00Z",
               "completed_at": "1970-01-01T00:00:00Z"})
    );
    assert_eq!(from_value::<Challenge>(value.clone()).unwrap(), challenge);

    let mut damaged = value;
    damaged["status"] = json!("pending");
    assert!(from_value::<Challenge>(damaged).is_err());
}
