//! RFC 3339 in UTC with milliseconds and `Z`: the one spelling of a time in rows that are hashed.

use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer, Serializer};
use time::format_description::FormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

const MILLISECONDS: &[FormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// `at` as `2026-11-22T10:00:00.000Z`.
#[must_use]
pub fn rfc3339(at: OffsetDateTime) -> String {
    // Formatting the four-digit years that a clock gives cannot fail.
    at.to_offset(time::UtcOffset::UTC)
        .format(MILLISECONDS)
        .unwrap_or_default()
}

pub(crate) fn serialize<S: Serializer>(at: &OffsetDateTime, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&rfc3339(*at))
}

/// Reads what [`rfc3339`] wrote.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<OffsetDateTime, D::Error> {
    let text = String::deserialize(from)?;
    let moment = PrimitiveDateTime::parse(&text, MILLISECONDS);
    let moment =
        moment.map_err(|_| D::Error::custom("a time is written 2026-11-22T10:00:00.000Z"))?;
    Ok(moment.assume_utc())
}
