//! Between rustls' time (whole seconds since 1970) and the `time` crate's. What one cannot express
//! becomes the nearest that it can, at which no certificate is valid.

use std::time::Duration;

use rustls_pki_types::UnixTime;
use time::{OffsetDateTime, PrimitiveDateTime};

pub(crate) fn to_unix(time: OffsetDateTime) -> UnixTime {
    let seconds = u64::try_from(time.unix_timestamp()).unwrap_or(0);
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

pub(crate) fn from_unix(time: UnixTime) -> OffsetDateTime {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or(PrimitiveDateTime::MAX.assume_utc())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn whole_seconds_survive_both_ways_and_the_rest_is_cut_to_the_range() {
        let now = datetime!(2026-11-22 17:30:05 UTC);
        assert_eq!(from_unix(to_unix(now)), now);

        let before_1970 = datetime!(1950-01-01 00:00 UTC);
        assert_eq!(to_unix(before_1970).as_secs(), 0);
        let absurd = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
        assert_eq!(from_unix(absurd).year(), 9999);
    }
}
