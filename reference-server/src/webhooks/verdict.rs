//! What follows from an answer, or from none.

use http::StatusCode;
use identity_store::{Try, Verdict};
use rand_core::CryptoRng;
use time::OffsetDateTime;

use super::schedule::{next_try, retry_after};
use super::sender::{Answered, NoAnswer};

/// What came of a try that ended at `now`, after `before` that had failed.
pub fn judge(
    outcome: Result<Answered, NoAnswer>,
    before: u32,
    now: OffsetDateTime,
    rng: &mut impl CryptoRng,
) -> (Try, Verdict) {
    let tries = before.saturating_add(1);
    let mut again = |asked| {
        let next = next_try(tries, now, asked, rng);
        next.map_or(Verdict::GivenUp, |at| Verdict::Again { at })
    };
    let answered = match outcome {
        Ok(answered) => answered,
        Err(error) => {
            let tried = Try {
                at: now,
                response_status: None,
                response_body: None,
                error: Some(error.to_string()),
            };
            return (tried, again(None));
        }
    };
    let status = answered.status;
    let verdict = if status.is_success() {
        Verdict::Delivered
    } else if status == StatusCode::GONE {
        Verdict::Gone
    } else {
        again(retry_after(&answered.headers, now))
    };
    let error = (verdict != Verdict::Delivered).then(|| {
        if status.is_redirection() {
            format!("answered {}: redirects are not followed", status.as_u16())
        } else {
            format!("answered {}", status.as_u16())
        }
    });
    let tried = Try {
        at: now,
        response_status: Some(status.as_u16()),
        response_body: error.is_some().then_some(answered.body),
        error,
    };
    (tried, verdict)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::RETRY_AFTER;
    use time::Duration;
    use time::macros::datetime;

    use super::*;
    use crate::clock::entropy;

    const NOW: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

    fn answered(status: u16, retry_after: Option<&'static str>) -> Result<Answered, NoAnswer> {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(RETRY_AFTER, http::HeaderValue::from_static(value));
        }
        Ok(Answered {
            status: StatusCode::from_u16(status).expect("a status"),
            headers,
            body: "said".to_owned(),
        })
    }

    #[test]
    fn success_is_2xx_and_nothing_else() {
        for (status, delivered) in [
            (200, true),
            (204, true),
            (299, true),
            (301, false),
            (304, false),
            (307, false),
            (400, false),
            (404, false),
            (429, false),
            (500, false),
            (503, false),
        ] {
            let (tried, verdict) = judge(answered(status, None), 0, NOW, &mut entropy());
            assert_eq!(verdict == Verdict::Delivered, delivered, "{status}");
            assert_eq!(tried.response_status, Some(status));
            assert_eq!(tried.error.is_some(), !delivered, "{status}");
            assert_eq!(tried.response_body.is_some(), !delivered, "{status}");
            assert_eq!(
                matches!(verdict, Verdict::Again { .. }),
                !delivered,
                "{status}"
            );
        }
        let (_, gone) = judge(answered(410, None), 0, NOW, &mut entropy());
        assert_eq!(gone, Verdict::Gone);
    }

    #[test]
    fn the_tenth_try_is_the_last() {
        for (before, last) in [(0, false), (8, false), (9, true), (u32::MAX, true)] {
            let (_, verdict) = judge(Err(NoAnswer::TimeOut), before, NOW, &mut entropy());
            assert_eq!(verdict == Verdict::GivenUp, last, "{before}");
        }
    }

    #[test]
    fn an_endpoint_says_when_it_wants_to_be_asked_again() {
        let (_, verdict) = judge(answered(503, Some("3600")), 0, NOW, &mut entropy());
        let at = NOW + Duration::HOUR;
        assert_eq!(verdict, Verdict::Again { at });
    }

    #[test]
    fn why_there_was_no_answer_is_told() {
        let (tried, _) = judge(Err(NoAnswer::TimeOut), 0, NOW, &mut entropy());
        assert_eq!(tried.error.as_deref(), Some("no answer within 15 seconds"));
    }
}
