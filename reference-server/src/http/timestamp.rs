//! Times in answers: RFC 3339 in UTC with milliseconds and `Z` (contract §1).

use identity_store::rfc3339;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;

/// A moment, as answers show it.
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
}
