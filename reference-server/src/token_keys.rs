//! When the key that signs tokens and receipts is replaced: the next one is published first, signs then, and
//! verifies for a while after it signed last.

use identity_store::{NextTokenKey, TokenKeys};
use time::{Duration, OffsetDateTime};

use crate::tokens::{TokenError, Tokens};

/// How long a key signs.
pub const TERM: Duration = Duration::days(90);
/// How long the next one is published before it signs, when nobody is in a hurry.
pub const PUBLISHED: Duration = Duration::DAY;
/// The same for one that somebody asked for: key sets are cached for five minutes, by common libraries for
/// ten.
pub const PUBLISHED_AT_LEAST: Duration = Duration::HOUR;

/// What is to be done with the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// Publish the next key, which is to sign from then on.
    Publish(OffsetDateTime),
    /// Let the next key sign.
    Activate,
}

/// What is due at `now`.
#[must_use]
pub fn due(keys: &TokenKeys, now: OffsetDateTime) -> Due {
    match (&keys.next, keys.active_since) {
        (Some(next), _) if next.active_from <= now => Due::Activate,
        (None, Some(since)) if since + TERM <= now + PUBLISHED => Due::Publish(now + PUBLISHED),
        (Some(_), _) | (None, _) => Due::Nothing,
    }
}

/// The next key when somebody asks for one at `now`: the one that is published, sooner if it is to be later,
/// or a fresh one.
///
/// # Errors
///
/// [`TokenError::Key`] when none could be made.
pub fn asked_for(keys: &TokenKeys, now: OffsetDateTime) -> Result<NextTokenKey, TokenError> {
    match &keys.next {
        Some(next) => {
            let soonest = next.published_at + PUBLISHED_AT_LEAST;
            Ok(NextTokenKey {
                active_from: next.active_from.min(soonest.max(now)),
                ..next.clone()
            })
        }
        None => fresh(now, now + PUBLISHED_AT_LEAST),
    }
}

/// A fresh key that is published at `now`.
///
/// # Errors
///
/// [`TokenError::Key`] when none could be made.
pub fn fresh(now: OffsetDateTime, active_from: OffsetDateTime) -> Result<NextTokenKey, TokenError> {
    let secret = Tokens::fresh_key()?;
    Ok(NextTokenKey {
        key_id: Tokens::key_id_of(&secret)?,
        secret,
        published_at: now,
        active_from,
    })
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const START: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

    fn keys(next: Option<NextTokenKey>) -> TokenKeys {
        TokenKeys {
            active_since: Some(START),
            next,
            ..TokenKeys::default()
        }
    }

    #[test]
    fn a_key_is_published_a_day_before_its_predecessors_term_is_over() {
        let publish = START + TERM - PUBLISHED;
        for (now, expected) in [
            (START, Due::Nothing),
            (publish - Duration::SECOND, Due::Nothing),
            (publish, Due::Publish(START + TERM)),
            // Nobody looked for a while: it is published for as long.
            (START + TERM * 2, Due::Publish(START + TERM * 2 + PUBLISHED)),
        ] {
            assert_eq!(due(&keys(None), now), expected, "{now}");
        }
        let undated = TokenKeys::default();
        assert_eq!(due(&undated, START), Due::Nothing);
    }

    #[test]
    fn a_key_signs_when_its_time_has_come() {
        let next = fresh(START, START + PUBLISHED).expect("a key");
        let keys = keys(Some(next));
        let early = START + PUBLISHED - Duration::SECOND;
        assert_eq!(due(&keys, early), Due::Nothing);
        assert_eq!(due(&keys, START + PUBLISHED), Due::Activate);
        assert_eq!(due(&keys, START + TERM * 9), Due::Activate);
    }

    #[test]
    fn who_asks_for_the_next_key_gets_it_within_the_hour_and_never_later_than_it_was_to_be() {
        let asked = asked_for(&keys(None), START).expect("a key");
        assert_eq!(asked.active_from, START + PUBLISHED_AT_LEAST);
        for (published, active_from, expected) in [
            // Published just now, for tomorrow.
            (START, START + PUBLISHED, START + PUBLISHED_AT_LEAST),
            // Published long enough.
            (START - Duration::hours(2), START + PUBLISHED, START),
            // On its way already.
            (START, START + Duration::MINUTE, START + Duration::MINUTE),
        ] {
            let next = NextTokenKey {
                published_at: published,
                active_from,
                ..asked.clone()
            };
            let again = asked_for(&keys(Some(next)), START).expect("a key");
            assert_eq!(again.active_from, expected);
            assert_eq!(again.key_id, asked.key_id);
        }
    }
}
