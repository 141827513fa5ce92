use std::io::{BufRead as _, BufReader};
use std::process::Command;

use super::Random;

/// The most steps that a rotation may take before it is killed.
const STEPS: u64 = 3;

/// Begins `keys rotate` that many times, and kills each run when it has told of a few steps. Some of
/// the runs after a kill find values under an earlier key.
pub fn rotate_and_kill(runs: usize, random: &mut Random, rotate: impl Fn() -> Command) {
    let (mut kills, mut resumed) = (0, 0);
    for _ in 0..runs {
        let mut rotation = rotate().spawn().expect("it starts");
        let steps = 1 + usize::try_from(random.below(STEPS)).expect("small");
        let told = BufReader::new(rotation.stdout.take().expect("its output")).lines();
        let told: Vec<_> = told.take(steps).map_while(Result::ok).collect();
        let goes_on = told
            .first()
            .is_some_and(|line| line.ends_with("re-encrypted"));
        resumed += usize::from(kills > 0 && goes_on);
        if told.len() == steps {
            // SIGKILL.
            rotation.kill().expect("it is killed");
            kills += usize::from(!rotation.wait().expect("it ends").success());
        } else {
            assert!(rotation.wait().expect("it ends").success());
        }
    }
    assert!(kills > 0 && resumed > 0, "{kills} kills, {resumed} resumed");
}
