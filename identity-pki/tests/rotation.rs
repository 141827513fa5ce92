//! The life of the platform's CAs: every state with every event, and what holds whatever happens.
#![allow(clippy::unwrap_used)] // It is all test code.

use std::fmt::Write as _;

use identity_pki::{CaRotation, CaState, Fingerprint, RotationRule};
use proptest::prelude::*;

#[derive(Debug, Clone, Copy)]
enum Event {
    Add(u8, CaState),
    Activate(u8),
    Taint(u8),
    Retire(u8, u64, bool),
}

use Event::{Activate, Add, Retire, Taint};

fn ca(number: u8) -> Fingerprint {
    Fingerprint::from_bytes([number; 32])
}

fn apply(cas: &CaRotation, event: Event) -> Result<CaRotation, RotationRule> {
    match event {
        Add(number, state) => cas.add(ca(number), state),
        Activate(number) => cas.activate(ca(number)),
        Taint(number) => cas.taint(ca(number)),
        Retire(number, devices, force) => cas.retire(ca(number), devices, force),
    }
}

/// What became of CA 1, and of CA 9, which is active beside it unless CA 1 is.
fn outcome(cas: &CaRotation, event: Event) -> String {
    match apply(cas, event) {
        Ok(after) => {
            let beside = after.state(ca(9)).map_or("none", CaState::as_str);
            format!("{} (the other {beside})", after.state(ca(1)).unwrap())
        }
        Err(rule) => {
            let text = rule.to_string();
            let short = text.replace(&ca(1).to_string(), "1");
            format!("refused: {short}")
        }
    }
}

#[test]
fn every_state_with_every_event() {
    let events = [
        ("add prepared", Add(1, CaState::Prepared)),
        ("add active", Add(1, CaState::Active)),
        ("activate", Activate(1)),
        ("taint", Taint(1)),
        ("retire, no devices", Retire(1, 0, false)),
        ("retire, 2 devices", Retire(1, 2, false)),
        ("retire, 2 devices, force", Retire(1, 2, true)),
    ];
    let mut table = String::new();
    let states = CaState::ALL.map(Some).into_iter();
    for state in std::iter::once(None).chain(states) {
        let other = (state != Some(CaState::Active)).then_some((ca(9), CaState::Active));
        let cas = CaRotation::new(state.map(|state| (ca(1), state)).into_iter().chain(other));
        writeln!(table, "{}:", state.map_or("unknown", CaState::as_str)).unwrap();
        for (name, event) in events {
            writeln!(
                table,
                "  {name:<24} {}",
                outcome(cas.as_ref().unwrap(), event)
            )
            .unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_new_ca_is_prepared_or_active() {
    for state in [CaState::Retiring, CaState::Tainted, CaState::Retired] {
        let refused = CaRotation::default().add(ca(1), state);
        assert_eq!(refused, Err(RotationRule::NewState { state }));
    }
}

#[test]
fn stored_states_that_cannot_be_are_refused() {
    let twice = CaRotation::new([(ca(1), CaState::Retired), (ca(1), CaState::Active)]);
    let fingerprint = ca(1);
    assert_eq!(twice, Err(RotationRule::Known { fingerprint }));
    let both = CaRotation::new([(ca(1), CaState::Active), (ca(2), CaState::Active)]);
    let (first, second) = (ca(1), ca(2));
    assert_eq!(both, Err(RotationRule::SecondActive { first, second }));
}

#[test]
fn a_rotation_can_be_rolled_back_and_forth() {
    let cas = CaRotation::new([(ca(1), CaState::Active)]).unwrap();
    let rotated = cas.add(ca(2), CaState::Active).unwrap();
    let back = rotated.activate(ca(1)).unwrap();
    assert_eq!(back.issuing(), Some(ca(1)));
    assert_eq!(back.state(ca(2)), Ok(CaState::Retiring));
    assert_eq!(back.activate(ca(2)), Ok(rotated));
}

/// The contract's `ca-cert/regenerate`: another CA issues, and the earlier one is tainted.
#[test]
fn a_tainted_ca_never_issues_again_but_its_devices_work_until_it_is_retired() {
    let cas = CaRotation::new([(ca(1), CaState::Active)]).unwrap();
    let regenerated = cas.regenerate(ca(1), ca(2)).unwrap();
    let one_by_one = cas.add(ca(2), CaState::Active).unwrap().taint(ca(1));
    assert_eq!(one_by_one, Ok(regenerated.clone()));
    assert_eq!(regenerated.trusted().collect::<Vec<_>>(), [ca(1), ca(2)]);
    assert!(regenerated.activate(ca(1)).is_err());
    let retired = regenerated.retire(ca(1), 0, false).unwrap();
    assert_eq!(retired.trusted().collect::<Vec<_>>(), [ca(2)]);
}

#[test]
fn a_regeneration_names_the_ca_that_it_ends() {
    let cas = CaRotation::new([(ca(1), CaState::Active), (ca(2), CaState::Retiring)]).unwrap();
    for wrong in [ca(2), ca(3)] {
        let refused = cas.regenerate(wrong, ca(4));
        assert_eq!(refused, Err(RotationRule::Confirm { confirmed: wrong }));
    }
    let fingerprint = ca(2);
    let known = cas.regenerate(ca(1), ca(2));
    assert_eq!(known, Err(RotationRule::Known { fingerprint }));
    let none = CaRotation::default().regenerate(ca(1), ca(2));
    assert_eq!(none, Err(RotationRule::Confirm { confirmed: ca(1) }));
}

#[test]
fn the_devices_of_a_tainted_ca_alone_are_revoked_all_at_once() {
    for state in CaState::ALL {
        let cas = CaRotation::new([(ca(1), state)]).unwrap();
        let fingerprint = ca(1);
        let expected = match state {
            CaState::Tainted => Ok(()),
            _ => Err(RotationRule::RevokeDevices { fingerprint, state }),
        };
        assert_eq!(cas.revoke_devices(fingerprint), expected);
        assert!(cas.revoke_devices(ca(2)).is_err());
    }
}

fn states() -> impl Strategy<Value = CaState> {
    prop::sample::select(CaState::ALL.to_vec())
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let ca = 0..5_u8;
    let event = prop_oneof![
        3 => (ca.clone(), states()).prop_map(|(ca, state)| Add(ca, state)),
        3 => ca.clone().prop_map(Activate),
        1 => ca.clone().prop_map(Taint),
        2 => (ca, 0..3_u64, any::<bool>()).prop_map(|(ca, n, force)| Retire(ca, n, force)),
    ];
    prop::collection::vec(event, 0..40)
}

proptest! {
    #[test]
    fn whatever_happens_one_at_most_issues_and_trust_ends_by_retiring_alone(events in events()) {
        let mut cas = CaRotation::default();
        for event in events {
            let before = cas.clone();
            match apply(&before, event) {
                Ok(after) => cas = after,
                Err(_) => continue,
            }
            // It could be stored, and read again.
            prop_assert_eq!(CaRotation::new(cas.iter()), Ok(cas.clone()));
            if let Some(issuing) = cas.issuing() {
                prop_assert!(cas.trusted().any(|trusted| trusted == issuing));
            }
            for was_trusted in before.trusted() {
                let still = cas.trusted().any(|trusted| trusted == was_trusted);
                let retired = matches!(event, Retire(number, ..) if ca(number) == was_trusted);
                prop_assert_eq!(still, !retired);
            }
            // Once there is an issuing CA, there is one.
            prop_assert!(before.issuing().is_none() || cas.issuing().is_some());
            for (fingerprint, state) in before.iter() {
                let now = cas.state(fingerprint).unwrap();
                prop_assert!(state != CaState::Retired || now == CaState::Retired);
                prop_assert!(state != CaState::Tainted || now != CaState::Active);
            }
        }
    }

    #[test]
    fn writing_the_changes_one_by_one_never_makes_two_active(events in events()) {
        let mut cas = CaRotation::default();
        for event in events {
            let Ok(after) = apply(&cas, event) else { continue };
            let mut stored: std::collections::BTreeMap<_, _> = cas.iter().collect();
            for (fingerprint, state) in after.changes_since(&cas) {
                prop_assert_ne!(stored.insert(fingerprint, state), Some(state));
                prop_assert!(CaRotation::new(stored.clone()).is_ok());
            }
            prop_assert_eq!(&CaRotation::new(stored), &Ok(after.clone()));
            cas = after;
        }
    }
}
