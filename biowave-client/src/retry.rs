use std::time::Duration;

use crate::Error;

/// How often a call is tried, at most.
const TRIES: u32 = 3;

/// The pause before the second try; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// How long to wait before a call is tried once more, or nothing if it is not.
///
/// Only a call that never left this process is repeated, so that the rule holds for every
/// operation: an `add` whose answer was lost may have happened.
pub(crate) fn pause_before_next(failed_tries: u32, error: &Error) -> Option<Duration> {
    match error {
        Error::Connect(_) if failed_tries < TRIES => {
            let doublings = failed_tries.saturating_sub(1);
            Some(FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(doublings)))
        }
        Error::Connect(_)
        | Error::BaseUrl(_)
        | Error::Setup(_)
        | Error::Timeout { .. }
        | Error::Broken(_)
        | Error::Status { .. }
        | Error::TooLarge { .. }
        | Error::Malformed(_)
        | Error::Refused(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Refusal;

    #[test]
    fn a_failed_connection_is_tried_twice_more_with_longer_pauses() {
        let refused = Error::Connect("connection refused".into());
        let pauses = [1, 2, 3, u32::MAX].map(|tries| pause_before_next(tries, &refused));
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(pauses, [ms(50), ms(100), None, None]);
    }

    #[test]
    fn whatever_may_have_happened_is_not_repeated() {
        for error in [
            Error::Broken("reset".into()),
            Error::Timeout {
                limit: Duration::from_secs(3),
            },
            Error::Status { status: 503 },
            Error::TooLarge { limit: 1 },
            Error::Refused(Refusal::StoreError),
        ] {
            assert!(error.may_have_happened(), "{error}");
            assert_eq!(pause_before_next(1, &error), None, "{error}");
        }
    }
}
