//! How long to wait before something that failed is tried again.

use std::time::Duration;

use rand_core::CryptoRng;

/// How much longer or shorter a wait may be, in hundredths: not all that failed together is tried again at
/// one moment.
const JITTER: u32 = 20;

/// `wait`, a fifth longer or shorter at most.
pub fn jittered(wait: Duration, rng: &mut impl CryptoRng) -> Duration {
    let span = 2 * JITTER + 1;
    let hundredths = 100 - JITTER + rng.next_u32() % span;
    wait * hundredths / 100
}

/// The wait after the first failure, `first`, doubled with each of the `more` that followed in a row, and
/// never above `longest`.
#[must_use]
pub fn doubled(first: Duration, more: u32, longest: Duration) -> Duration {
    let times = 2_u32.saturating_pow(more);
    first.saturating_mul(times).min(longest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::entropy;

    #[test]
    fn a_wait_doubles_up_to_the_longest() {
        let seconds = Duration::from_secs;
        for (more, expected) in [
            (0, 2),
            (1, 4),
            (2, 8),
            (7, 256),
            (8, 300),
            (31, 300),
            (32, 300),
            (u32::MAX, 300),
        ] {
            let wait = doubled(seconds(2), more, seconds(300));
            assert_eq!(wait, seconds(expected), "{more}");
        }
    }

    proptest! {
        #[test]
        fn a_wait_is_a_fifth_longer_or_shorter_at_most(seconds in 0..1_000_000_u64) {
            let wait = Duration::from_secs(seconds);
            let waited = jittered(wait, &mut entropy());
            prop_assert!(wait * 80 / 100 <= waited && waited <= wait * 120 / 100, "{waited:?}");
        }
    }

    #[test]
    fn waits_are_drawn_anew_each_time() {
        let draw = || jittered(Duration::from_secs(100), &mut entropy());
        let first = draw();
        assert!((0..100).any(|_| draw() != first));
    }
}
