//! The whole machine, run: every state with everything that can happen to it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use identity_challenge::{
    CancelReason, Challenge, ChallengeKind, ChallengeStatus, EnrollOutcome, Event, MaxAttempts,
    Outcome, PalmType, Refusal, Scores, Ttl, Undecided, VerifyOutcome,
};
use proptest::prelude::*;
use time::{Duration, OffsetDateTime};

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
const TTL_SECONDS: i64 = 120;
const ENROLL: ChallengeKind = ChallengeKind::Enroll {
    palm_type: PalmType::Left,
};

#[derive(Debug, Clone)]
enum Happening {
    Event(Event),
    Sample(Outcome),
}

use Happening::{Event as E, Sample as S};

fn scores() -> Scores {
    Scores::parse(&[0.9; 4]).unwrap()
}

fn happenings() -> Vec<(&'static str, Happening)> {
    let scores = scores();
    let retry_after = std::time::Duration::from_secs(1);
    let verify = |outcome| S(Outcome::Verify(outcome));
    let enroll = |outcome| S(Outcome::Enroll(outcome));
    let undecided = |outcome| S(Outcome::Undecided(outcome));
    vec![
        ("claim", E(Event::Claim)),
        ("deny", E(Event::Deny)),
        ("cancel", E(Event::Cancel(CancelReason::Integrator))),
        ("expire", E(Event::Expire)),
        ("match", verify(VerifyOutcome::Match { scores })),
        ("not_found", verify(VerifyOutcome::NotFound)),
        (
            "low_confidence",
            verify(VerifyOutcome::LowConfidence { scores }),
        ),
        (
            "identity_mismatch",
            verify(VerifyOutcome::IdentityMismatch {
                matched_user: "other".into(),
                scores,
            }),
        ),
        (
            "query_type_restricted",
            verify(VerifyOutcome::QueryTypeRestricted),
        ),
        ("added", enroll(EnrollOutcome::Added { palm_id: 100_001 })),
        (
            "duplicate_biometrics",
            enroll(EnrollOutcome::DuplicateBiometrics),
        ),
        ("already_enrolled", enroll(EnrollOutcome::AlreadyEnrolled)),
        ("license_capacity", enroll(EnrollOutcome::LicenseCapacity)),
        (
            "service_unavailable",
            undecided(Undecided::ServiceUnavailable { retry_after }),
        ),
        ("throttled", undecided(Undecided::Throttled { retry_after })),
        ("capture_replayed", undecided(Undecided::CaptureReplayed)),
    ]
}

fn step(
    challenge: &Challenge,
    what: &Happening,
    now: OffsetDateTime,
) -> Result<Challenge, Refusal> {
    match what {
        E(event) => challenge.apply(*event, now),
        S(outcome) => challenge
            .complete(outcome, now)
            .map(|completion| completion.challenge),
    }
}

fn open(kind: ChallengeKind, tries: u32) -> Challenge {
    Challenge::open(
        kind,
        MaxAttempts::new(tries).unwrap(),
        Ttl::new(120).unwrap(),
        NOW,
    )
}

fn overdue() -> OffsetDateTime {
    NOW + Duration::seconds(TTL_SECONDS)
}

/// A challenge in each status; the open ones have two tries left, or one.
fn in_each_status(kind: ChallengeKind) -> Vec<(&'static str, Challenge)> {
    let pending = open(kind, 2);
    let success = match kind {
        ChallengeKind::Verify => Outcome::Verify(VerifyOutcome::Match { scores: scores() }),
        ChallengeKind::Enroll { .. } => Outcome::Enroll(EnrollOutcome::Added { palm_id: 1 }),
    };
    let failure = match kind {
        ChallengeKind::Verify => Outcome::Verify(VerifyOutcome::QueryTypeRestricted),
        ChallengeKind::Enroll { .. } => Outcome::Enroll(EnrollOutcome::AlreadyEnrolled),
    };
    let after = |what, now| step(&pending, &what, now).unwrap();
    vec![
        ("pending", pending),
        ("pending, last try", open(kind, 1)),
        ("in_progress", after(E(Event::Claim), NOW)),
        (
            "in_progress, last try",
            step(&open(kind, 1), &E(Event::Claim), NOW).unwrap(),
        ),
        ("completed", after(S(success), NOW)),
        ("failed", after(S(failure), NOW)),
        ("denied", after(E(Event::Deny), NOW)),
        (
            "canceled",
            after(E(Event::Cancel(CancelReason::DeviceRevoked)), NOW),
        ),
        ("expired", after(E(Event::Expire), overdue())),
    ]
}

fn describe(result: Result<Challenge, Refusal>) -> String {
    match result {
        Ok(next) => format!(
            "{} ({}) {}/{}",
            next.status(),
            next.status_reason().map_or("-", |reason| reason.as_str()),
            next.attempts().used(),
            next.attempts().max().get(),
        ),
        Err(Refusal::Terminal { status }) => format!("refused: is {status}"),
        Err(Refusal::Expired { .. }) => "refused: is expired".to_owned(),
        Err(Refusal::NotDue { .. }) => "refused: not due".to_owned(),
        Err(Refusal::OtherKind { .. }) => "refused: other kind".to_owned(),
    }
}

#[test]
fn every_state_with_every_happening() {
    let mut table = String::new();
    for kind in [ChallengeKind::Verify, ENROLL] {
        for (moment, now) in [("in time", NOW), ("overdue", overdue())] {
            for (state, challenge) in in_each_status(kind) {
                writeln!(table, "{}, {moment}, {state}:", kind.as_str()).unwrap();
                let rows: Vec<_> = happenings()
                    .iter()
                    .map(|(name, what)| (*name, describe(step(&challenge, what, now))))
                    .collect();
                if rows.iter().all(|(_, after)| *after == rows[0].1) {
                    writeln!(table, "  {:<22} {}", "(all of them)", rows[0].1).unwrap();
                } else {
                    for (name, after) in rows {
                        writeln!(table, "  {name:<22} {after}").unwrap();
                    }
                }
            }
        }
    }
    insta::assert_snapshot!(table);
}

/// The arrows that the machine really takes, as a Mermaid diagram.
fn diagram() -> String {
    let mut arrows: BTreeMap<(ChallengeStatus, ChallengeStatus), Vec<&str>> = BTreeMap::new();
    for kind in [ChallengeKind::Verify, ENROLL] {
        for (_, challenge) in in_each_status(kind) {
            for (name, what) in happenings() {
                let moves = [NOW, overdue()].map(|now| step(&challenge, &what, now));
                for next in moves.into_iter().flatten() {
                    let labels = arrows
                        .entry((challenge.status(), next.status()))
                        .or_default();
                    if !labels.contains(&name) {
                        labels.push(name);
                    }
                }
            }
        }
    }
    let mut text = String::from("```mermaid\nstateDiagram-v2\n    [*] --> pending\n");
    for ((from, to), labels) in &arrows {
        writeln!(text, "    {from} --> {to}: {}", labels.join(", ")).unwrap();
    }
    for status in ChallengeStatus::ALL
        .iter()
        .filter(|status| status.is_terminal())
    {
        writeln!(text, "    {status} --> [*]").unwrap();
    }
    text.push_str("```\n");
    text
}

#[test]
fn the_diagram_in_the_documentation_is_the_machine() {
    assert_eq!(
        include_str!("../states.md"),
        diagram(),
        "states.md should be:\n{}",
        diagram()
    );
}

fn any_happening() -> impl Strategy<Value = Happening> {
    proptest::sample::select(
        happenings()
            .into_iter()
            .map(|(_, what)| what)
            .collect::<Vec<_>>(),
    )
}

fn any_kind() -> impl Strategy<Value = ChallengeKind> {
    prop_oneof![Just(ChallengeKind::Verify), Just(ENROLL)]
}

proptest! {
    #[test]
    fn a_terminal_state_never_changes_and_tries_never_exceed_their_bound(
        kind in any_kind(),
        tries in 1u32..=10,
        story in prop::collection::vec((any_happening(), 0i64..40), 0..40),
    ) {
        let mut challenge = open(kind, tries);
        let mut now = NOW;
        for (what, seconds) in story {
            now += Duration::seconds(seconds);
            let before = challenge;
            match step(&before, &what, now) {
                Ok(next) => {
                    prop_assert!(!before.status().is_terminal());
                    prop_assert!(next.attempts().used() >= before.attempts().used());
                    prop_assert!(now < before.expires_at() || next.status() == ChallengeStatus::Expired);
                    challenge = next;
                }
                Err(refusal) => {
                    let expected = match before.status_at(now) {
                        ChallengeStatus::Expired => matches!(refusal, Refusal::Expired { .. }),
                        status if status.is_terminal() => refusal == Refusal::Terminal { status },
                        _ => matches!(refusal, Refusal::NotDue { .. } | Refusal::OtherKind { .. }),
                    };
                    prop_assert!(expected, "{refusal:?} from {before:?} at {now}");
                }
            }
            prop_assert!(u32::from(challenge.attempts().used()) <= tries);
            prop_assert_eq!(challenge.status().is_terminal(), challenge.status_reason().is_some());
            prop_assert_eq!(challenge.status().is_terminal(), challenge.completed_at().is_some());
            prop_assert_eq!(Challenge::try_from(challenge.record()), Ok(challenge));
        }
    }
}
