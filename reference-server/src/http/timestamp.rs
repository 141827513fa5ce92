//! Times: RFC 3339, in answers in UTC with milliseconds and `Z` (contract §1).

use identity_store::rfc3339;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment, as answers show it. In a request it may have another offset and be finer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, utoipa::ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00.000Z")]
pub struct Timestamp(pub OffsetDateTime);

impl From<OffsetDateTime> for Timestamp {
    fn from(at: OffsetDateTime) -> Self {
        Self(at)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&rfc3339(self.0))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let at = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| {
            D::Error::custom("must be a time as RFC 3339 has it, like 2026-11-22T10:00:00Z")
        })?;
        Ok(Self(at))
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_time_is_shown_in_utc_with_milliseconds() {
        let shown = |at| serde_json::to_value(Timestamp(at)).expect("JSON");
        assert_eq!(
            shown(datetime!(2026-11-22 12:00 +2)),
            "2026-11-22T10:00:00.000Z"
        );
        assert_eq!(
            shown(datetime!(2026-11-22 10:00:00.25 UTC)),
            "2026-11-22T10:00:00.250Z"
        );
    }

    #[test]
    fn a_time_is_read_with_any_offset() {
        let read = |text: &str| serde_json::from_value::<Timestamp>(text.into()).ok();
        let at = Some(Timestamp(datetime!(2026-11-22 10:00 UTC)));
        assert_eq!(read("2026-11-22T10:00:00Z"), at);
        assert_eq!(read("2026-11-22T12:00:00.000+02:00"), at);
        for bad in ["", "2026-11-22", "2026-11-22T10:00:00", "1795341600"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
