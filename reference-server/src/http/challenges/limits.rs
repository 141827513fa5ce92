//! What an integrator may put into a challenge.

use serde::Deserialize;
use serde_json::{Map, Value};

/// The largest `metadata` and `display`, in bytes of JSON (contract §8).
const MAX_OBJECT: usize = 4096;

/// A JSON object of at most 4 KiB.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub(in crate::http) struct SmallObject(Map<String, Value>);

impl SmallObject {
    pub(super) fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

impl TryFrom<Map<String, Value>> for SmallObject {
    type Error = String;

    fn try_from(members: Map<String, Value>) -> Result<Self, String> {
        let fits = serde_json::to_vec(&members).is_ok_and(|json| json.len() <= MAX_OBJECT);
        if fits {
            Ok(Self(members))
        } else {
            Err(format!("must be at most {MAX_OBJECT} bytes"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_at_most_four_kibibytes() {
        let object = |length: usize| {
            let json = format!(r#"{{"k":"{}"}}"#, "v".repeat(length));
            serde_json::from_str::<SmallObject>(&json)
        };
        assert!(object(4096 - r#"{"k":""}"#.len()).is_ok());
        assert!(object(4097 - r#"{"k":""}"#.len()).is_err());
        for other in ["[]", "\"text\"", "7", "null"] {
            assert!(
                serde_json::from_str::<SmallObject>(other).is_err(),
                "{other}"
            );
        }
    }
}
