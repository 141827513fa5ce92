//! When a delivery is tried (contract §10).

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;
use rand_core::CryptoRng;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::backoff::jittered;

/// How long each try waits after the one before.
pub const WAITS: [Duration; 10] = [
    Duration::ZERO,
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 60 * 60),
    Duration::from_secs(5 * 60 * 60),
    Duration::from_secs(10 * 60 * 60),
    Duration::from_secs(14 * 60 * 60),
    Duration::from_secs(20 * 60 * 60),
    Duration::from_secs(24 * 60 * 60),
];

/// The longest wait that an endpoint can ask for: a day.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// When a delivery is tried again of which `tries` have failed; `None` after the last one. An endpoint that
/// asked to be left alone for `retry_after` is.
pub fn next_try(
    tries: u32,
    now: OffsetDateTime,
    retry_after: Option<Duration>,
    rng: &mut impl CryptoRng,
) -> Option<OffsetDateTime> {
    let tries = usize::try_from(tries).ok()?;
    let wait = jittered(*WAITS.get(tries)?, rng);
    let asked = retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
    Some(now + wait.max(asked))
}

/// How long an answer asks to be left alone: `Retry-After`, in seconds or as a date (RFC 9110 §10.2.3). What
/// is neither asks for nothing.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than a number has are as good as for ever, which is bounded.
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds));
    }
    let at = OffsetDateTime::parse(&value.replace("GMT", "+0000"), &Rfc2822).ok()?;
    Duration::try_from(at - now).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;
    use crate::clock::entropy;

    const NOW: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

    proptest! {
        #[test]
        fn each_try_waits_a_fifth_more_or_less_than_the_table_says(tries in 0..10_u32) {
            let wait = WAITS[usize::try_from(tries).expect("few")];
            let at = next_try(tries, NOW, None, &mut entropy()).expect("a try");
            let waited = Duration::try_from(at - NOW).expect("later");
            prop_assert!(wait * 80 / 100 <= waited && waited <= wait * 120 / 100, "{waited:?}");
        }

        #[test]
        fn an_endpoint_is_left_alone_for_as_long_as_it_asks_and_a_day_at_most(
            tries in 0..10_u32, seconds: u64,
        ) {
            let asked = Duration::from_secs(seconds);
            let at = next_try(tries, NOW, Some(asked), &mut entropy()).expect("a try");
            let waited = Duration::try_from(at - NOW).expect("later");
            let longest = WAITS[usize::try_from(tries).expect("few")] * 120 / 100;
            prop_assert!(waited >= asked.min(MAX_RETRY_AFTER));
            prop_assert!(waited <= longest.max(asked.min(MAX_RETRY_AFTER)));
        }

        #[test]
        fn after_ten_tries_there_is_none(tries in 10..=u32::MAX) {
            prop_assert_eq!(next_try(tries, NOW, Some(Duration::ZERO), &mut entropy()), None);
        }

        #[test]
        fn no_answer_is_read_wrongly(value in "\\PC{0,40}") {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(RETRY_AFTER, value);
            }
            let _ = retry_after(&headers, NOW);
        }
    }

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        for (value, seconds) in [
            ("120", Some(120)),
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("Sun, 22 Nov 2026 12:02:00 GMT", Some(120)),
            ("Sun, 22 Nov 2026 11:58:00 GMT", None),
            ("99999999999999999999999", Some(u64::MAX)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().expect("a header"));
            let found = retry_after(&headers, NOW);
            assert_eq!(found, seconds.map(Duration::from_secs), "{value:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), NOW), None);
    }
}
