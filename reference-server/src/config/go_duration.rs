//! Durations as Go writes them: seed 001's variables have that form.

use std::time::Duration;

/// The units, longest spelling first, in nanoseconds.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];
/// No setting is longer: three years.
const LONGEST: Duration = Duration::from_secs(3 * 366 * 86_400);

/// Parses `5m`, `1h30m`, `1.5s` or `0`; `None` for anything else, for what is negative, and for more
/// than three years.
pub(super) fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut sum) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let (part, after) = first_part(rest)?;
        sum = sum.checked_add(part).filter(|sum| *sum <= LONGEST)?;
        rest = after;
    }
    (!text.is_empty()).then_some(sum)
}

/// The number and unit that `text` begins with, and what follows them.
fn first_part(text: &str) -> Option<(Duration, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(end);
    let (unit, nanoseconds) = UNITS.iter().find(|(unit, _)| {
        rest.strip_prefix(unit).is_some_and(|after| {
            after.is_empty() || after.starts_with(|c: char| c.is_ascii_digit())
        })
    })?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = whole.parse().ok()?;
    let nanoseconds_of = |count: u64| count.checked_mul(*nanoseconds).map(Duration::from_nanos);
    let part = nanoseconds_of(whole)?.checked_add(fraction_of(fraction, *nanoseconds)?)?;
    Some((part, rest.strip_prefix(unit)?))
}

/// The digits after a point, of a unit; less than a nanosecond is dropped.
fn fraction_of(digits: &str, nanoseconds: u64) -> Option<Duration> {
    if digits.is_empty() {
        return Some(Duration::ZERO);
    }
    let count: u64 = digits.parse().ok()?;
    let parts = 10_u64.checked_pow(u32::try_from(digits.len()).ok()?)?;
    let nanoseconds = u128::from(count) * u128::from(nanoseconds) / u128::from(parts);
    u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_and_we_read_the_same() {
        for (text, millis) in [
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1_500),
            ("300ms", 300),
            ("2h45m10s5ms", 9_910_005),
            ("1000us", 1),
            ("1500000µs", 1_500),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "5",
            "m",
            "-5m",
            "+5m",
            "5 m",
            "5m ",
            "5d",
            "1.2.3s",
            ".s",
            "5mm",
            "5M",
            "1e3s",
            "99999999999999999999s",
            "30000h",
            "5m5",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
