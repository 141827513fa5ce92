//! The palm policy: the candidate rule, the three modes, and what raising a threshold may do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use identity_challenge::{
    Candidate, Error, MatchMode, PalmPolicy, PalmPolicyConfig, PolicyRule, Scores, Thresholds,
    VendorFault, VerifyOutcome,
};
use proptest::prelude::*;

fn candidate(user_id: &str, scores: [f64; 4]) -> Candidate {
    Candidate {
        user_id: user_id.to_owned(),
        scores: Scores::parse(&scores).unwrap(),
    }
}

fn thresholds(value: f64) -> Thresholds {
    Thresholds::parse(&[value; 4]).unwrap()
}

fn policy(change: impl FnOnce(&mut PalmPolicyConfig)) -> PalmPolicy {
    PalmPolicy::new(config(change)).unwrap()
}

fn config(change: impl FnOnce(&mut PalmPolicyConfig)) -> PalmPolicyConfig {
    let mut config = PalmPolicyConfig::default();
    change(&mut config);
    config
}

fn word(outcome: &VerifyOutcome) -> &'static str {
    match outcome {
        VerifyOutcome::Match { .. } => "match",
        VerifyOutcome::LowConfidence { .. } => "low_confidence",
        VerifyOutcome::IdentityMismatch { .. } => "identity_mismatch",
        VerifyOutcome::NotFound => "not_found",
        VerifyOutcome::QueryTypeRestricted => "query_type_restricted",
    }
}

#[test]
fn the_candidate_rule() {
    let high = [0.9; 4];
    let higher = [0.95; 4];
    let low = [0.5; 4];
    let lower = [0.4; 4];
    for (candidates, expected) in [
        (vec![], "not_found"),
        (vec![("me", high)], "match"),
        (vec![("me", [0.8; 4])], "match"),
        (vec![("me", low)], "low_confidence"),
        (vec![("you", high)], "identity_mismatch"),
        (vec![("you", low)], "not_found"),
        (vec![("you", high), ("me", higher)], "match"),
        (vec![("me", high), ("you", higher)], "identity_mismatch"),
        (vec![("me", lower), ("you", low)], "not_found"),
        (vec![("me", high), ("you", high)], "low_confidence"),
        (vec![("me", high), ("me", higher)], "match"),
    ] {
        let candidates: Vec<_> = candidates
            .into_iter()
            .map(|(u, s)| candidate(u, s))
            .collect();
        let outcome = PalmPolicy::default().verify("me", &candidates, &thresholds(0.8));
        assert_eq!(word(&outcome), expected, "{candidates:?}");
    }
}

#[test]
fn a_mismatch_names_the_other_user_for_the_audit_row() {
    let you = [candidate("you", [0.9; 4])];
    assert_eq!(
        PalmPolicy::default().verify("me", &you, &thresholds(0.8)),
        VerifyOutcome::IdentityMismatch {
            matched_user: "you".into(),
            scores: you[0].scores
        }
    );
}

#[test]
fn the_three_modes() {
    let passes = |policy: &PalmPolicy, scores| {
        let me = [candidate("me", scores)];
        word(&policy.verify("me", &me, &thresholds(0.8))) == "match"
    };
    let one_low = [0.9, 0.9, 0.9, 0.7];
    let all = policy(|_| ());
    assert!(passes(&all, [0.8; 4]) && !passes(&all, one_low));

    let three = policy(|c| (c.mode, c.k) = (MatchMode::KOfN, 3));
    assert!(passes(&three, one_low) && !passes(&three, [0.9, 0.9, 0.7, 0.7]));

    let weighted = policy(|c| c.mode = MatchMode::Weighted);
    assert!(passes(&weighted, one_low) && !passes(&weighted, [0.9, 0.7, 0.7, 0.7]));
    let last_counts = policy(|c| (c.mode, c.weights) = (MatchMode::Weighted, [1.0, 0.0, 0.0, 9.0]));
    assert!(!passes(&last_counts, one_low) && passes(&last_counts, [0.7, 0.0, 0.0, 0.9]));

    let without_last = policy(|c| c.slots = vec![2, 0, 1]);
    assert!(passes(&without_last, one_low));
    let raised = policy(|c| c.threshold_offset = [0.0, 0.05, 0.0, 0.0]);
    assert!(passes(&raised, [0.8, 0.9, 0.8, 0.8]) && !passes(&raised, [0.8; 4]));
}

#[test]
fn the_best_must_lead_every_other_user_by_the_margin() {
    let strict = policy(|c| c.min_margin = 0.125);
    let verify = |mine, yours| {
        let both = [candidate("me", [mine; 4]), candidate("you", [yours; 4])];
        word(&strict.verify("me", &both, &thresholds(0.25)))
    };
    assert_eq!(verify(0.875, 0.75), "match");
    assert_eq!(verify(0.875, 0.8125), "low_confidence");
    assert_eq!(verify(0.75, 0.875), "identity_mismatch");
    assert_eq!(verify(0.8125, 0.875), "not_found");
}

#[test]
fn identify_names_the_best_candidate_that_passes() {
    let both = [candidate("a", [0.9; 4]), candidate("b", [0.95; 4])];
    let identify = |threshold| {
        PalmPolicy::default()
            .identify(&both, &thresholds(threshold))
            .map(|found| found.user_id.as_str())
    };
    assert_eq!(identify(0.8), Some("b"));
    assert_eq!(identify(0.96), None);
}

#[test]
fn a_duplicate_is_found_whoever_else_passes_too() {
    let duplicate = |candidates: &[(&str, f64)]| {
        let candidates: Vec<_> = candidates
            .iter()
            .map(|&(user, score)| candidate(user, [score; 4]))
            .collect();
        PalmPolicy::default()
            .duplicate("me", &candidates, &thresholds(0.8))
            .map(|found| found.user_id.clone())
    };
    for (candidates, found) in [
        (&[][..], None),
        (&[("me", 0.95)], None),
        (&[("you", 0.7)], None),
        (&[("you", 0.8)], Some("you")),
        (&[("me", 0.95), ("you", 0.9)], Some("you")),
        (&[("you", 0.9), ("they", 0.95), ("me", 0.92)], Some("they")),
        // A tie matches nobody's verification, and is two duplicates.
        (&[("they", 0.9), ("you", 0.9)], Some("you")),
    ] {
        assert_eq!(duplicate(candidates).as_deref(), found, "{candidates:?}");
    }
}

#[test]
fn a_threshold_that_every_score_reaches_decides_nothing() {
    let check = |policy: &PalmPolicy, vendor: [f64; 4]| {
        policy.check_thresholds(&Thresholds::parse(&vendor).unwrap())
    };
    let fault = |index, value| Err(VendorFault::NotPositive { index, value });
    let all = PalmPolicy::default();
    assert_eq!(check(&all, [f64::MIN_POSITIVE; 4]), Ok(()));
    assert_eq!(check(&all, [0.8, 0.0, 0.8, 0.8]), fault(1, 0.0));
    assert_eq!(check(&all, [0.8, 0.8, 0.8, -1.0]), fault(3, -1.0));
    assert_eq!(check(&all, [-0.0; 4]), fault(0, -0.0));
    let raised = policy(|c| c.threshold_offset = [0.0, 0.5, 0.0, 0.0]);
    assert_eq!(check(&raised, [0.8, 0.0, 0.8, 0.8]), Ok(()));
    let without = policy(|c| c.slots = vec![0, 2]);
    assert_eq!(check(&without, [0.8, 0.0, 0.8, -1.0]), Ok(()));
}

#[test]
fn a_configuration_that_breaks_a_rule_is_refused() {
    type Change = fn(&mut PalmPolicyConfig);
    let rows: [(Change, PolicyRule); 9] = [
        (|c| c.k = 0, PolicyRule::K { k: 0, most: 4 }),
        (|c| c.k = 5, PolicyRule::K { k: 5, most: 4 }),
        (
            |c| (c.mode, c.k, c.slots) = (MatchMode::KOfN, 3, vec![0, 1]),
            PolicyRule::K { k: 3, most: 2 },
        ),
        (
            |c| c.weights[2] = -1.0,
            PolicyRule::Weight {
                index: 2,
                value: -1.0,
            },
        ),
        (
            |c| (c.mode, c.weights, c.slots) = (MatchMode::Weighted, [0.0, 1.0, 1.0, 1.0], vec![0]),
            PolicyRule::Weightless,
        ),
        (
            |c| c.threshold_offset[1] = -0.01,
            PolicyRule::Offset {
                index: 1,
                value: -0.01,
            },
        ),
        (|c| c.slots = vec![], PolicyRule::NoSlot),
        (|c| c.slots = vec![4], PolicyRule::Slot { slot: 4 }),
        (|c| c.slots = vec![1, 1], PolicyRule::SlotTwice { slot: 1 }),
    ];
    for (change, rule) in rows {
        assert_eq!(PalmPolicy::new(config(change)), Err(Error::Policy(rule)));
    }
    for value in [f64::NAN, f64::INFINITY, -1.0] {
        for change in [
            (|c, v| c.min_margin = v) as fn(&mut PalmPolicyConfig, f64),
            |c, v| c.weights[0] = v,
            |c, v| c.threshold_offset[3] = v,
        ] {
            assert!(
                PalmPolicy::new(config(|c| change(c, value))).is_err(),
                "{value}"
            );
        }
    }
}

#[test]
fn the_version_tells_what_decides() {
    assert_eq!(
        policy(|c| (c.mode, c.k, c.slots) = (MatchMode::KOfN, 2, vec![3, 0])).version(),
        "1/k_of_n=2/use=0,3/offset=0,0,0,0/margin=0"
    );
    assert_eq!(
        policy(|c| {
            (c.mode, c.weights) = (MatchMode::Weighted, [1.0, 2.5, 0.0, 1.0]);
            (c.threshold_offset, c.min_margin) = ([0.05, 0.0, 0.0, 0.0], 0.1);
        })
        .version(),
        "1/weighted=1,2.5,0,1/use=0,1,2,3/offset=0.05,0,0,0/margin=0.1"
    );
}

fn any_policy() -> impl Strategy<Value = PalmPolicyConfig> {
    let slots = proptest::sample::subsequence(vec![0u8, 1, 2, 3], 1..=4).prop_shuffle();
    let mode = proptest::sample::select(MatchMode::ALL);
    let some = || proptest::array::uniform4(0.0f64..2.0);
    (
        mode,
        slots,
        1u8..=4,
        proptest::array::uniform4(0.01f64..2.0),
        some(),
        0.0f64..0.3,
    )
        .prop_map(
            |(mode, slots, k, weights, threshold_offset, min_margin)| PalmPolicyConfig {
                mode,
                k: k.min(u8::try_from(slots.len()).unwrap()),
                weights,
                threshold_offset,
                slots,
                min_margin,
            },
        )
}

/// Numbers close to each other, so that they pass and fail about as often; and any finite one.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => (0u32..=20).prop_map(|n| f64::from(n) / 10.0),
        3 => 0.0f64..2.0,
        1 => proptest::num::f64::NORMAL | proptest::num::f64::ZERO | proptest::num::f64::SUBNORMAL,
    ]
}

fn four() -> impl Strategy<Value = [f64; 4]> {
    proptest::array::uniform4(number())
}

fn any_candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let user = proptest::sample::select(vec!["me", "you", "they"]);
    prop::collection::vec((user, four()).prop_map(|(u, s)| candidate(u, s)), 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn raising_a_threshold_never_turns_a_refusal_into_a_match(
        config in any_policy(),
        candidates in any_candidates(),
        vendor in four(),
        by in four(),
        offset_by in four(),
    ) {
        let raised_vendor: Vec<f64> = vendor
            .iter()
            .zip(by)
            .map(|(v, by)| (v + by.abs()).clamp(f64::MIN, f64::MAX))
            .collect();
        let mut raised_config = config.clone();
        for (offset, by) in raised_config.threshold_offset.iter_mut().zip(offset_by) {
            *offset = (*offset + by.abs()).min(f64::MAX);
        }
        let before = PalmPolicy::new(config).unwrap();
        let after = PalmPolicy::new(raised_config).unwrap();
        let low = Thresholds::parse(&vendor).unwrap();
        let high = Thresholds::parse(&raised_vendor).unwrap();

        let lenient = before.verify("me", &candidates, &low);
        if word(&lenient) != "match" {
            prop_assert_ne!(word(&before.verify("me", &candidates, &high)), "match");
            prop_assert_ne!(word(&after.verify("me", &candidates, &low)), "match");
        }
        if before.identify(&candidates, &low).is_none() {
            prop_assert!(after.identify(&candidates, &high).is_none());
        }
        if before.duplicate("me", &candidates, &low).is_none() {
            prop_assert!(after.duplicate("me", &candidates, &high).is_none());
        }
    }

    #[test]
    fn the_order_of_candidates_decides_nothing(
        config in any_policy(),
        candidates in any_candidates(),
        vendor in four(),
    ) {
        let policy = PalmPolicy::new(config).unwrap();
        let vendor = Thresholds::parse(&vendor).unwrap();
        let mut reversed = candidates.clone();
        reversed.reverse();
        prop_assert_eq!(
            word(&policy.verify("me", &candidates, &vendor)),
            word(&policy.verify("me", &reversed, &vendor))
        );
    }

    #[test]
    fn only_a_candidate_that_is_expected_can_match(
        config in any_policy(),
        candidates in any_candidates(),
        vendor in four(),
    ) {
        let policy = PalmPolicy::new(config).unwrap();
        let vendor = Thresholds::parse(&vendor).unwrap();
        prop_assert_ne!(word(&policy.verify("nobody", &candidates, &vendor)), "match");
    }

    #[test]
    fn whose_palm_matches_is_a_duplicate_for_everybody_else(
        config in any_policy(),
        candidates in any_candidates(),
        vendor in four(),
    ) {
        let policy = PalmPolicy::new(config).unwrap();
        let vendor = Thresholds::parse(&vendor).unwrap();
        for user in ["me", "you", "they"] {
            if word(&policy.verify(user, &candidates, &vendor)) == "match" {
                let found = policy.duplicate("nobody", &candidates, &vendor);
                prop_assert_eq!(found.map(|found| found.user_id.as_str()), Some(user));
            }
        }
    }
}
