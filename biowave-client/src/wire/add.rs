use serde::Deserialize;
use serde_json::{Value, json};

use super::parse_data;
use crate::{Error, MalformedAnswer, PalmType, PalmTypes};

/// What is to be learnt: whose palm, which one, and what it may be queried as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration<'a> {
    /// The user as the palm server shall know it.
    pub user_id: &'a str,
    /// Which palm.
    pub palm_type: PalmType,
    /// The types that the template is open to; the palm server's default without it.
    pub query_type: Option<PalmTypes>,
}

/// The template that was learnt.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Added {
    /// The user, as asked.
    pub user_id: String,
    /// The palm server's number of the template.
    pub id: i64,
    /// The types that the template is open to.
    #[serde(default)]
    pub query_type: Option<String>,
}

pub(crate) fn metadata(registration: &Registration<'_>) -> Value {
    let mut metadata = json!({
        "user_id": registration.user_id,
        "type": registration.palm_type,
        "is_encrypted": false,
    });
    if let (Some(query_type), Some(members)) = (registration.query_type, metadata.as_object_mut()) {
        members.insert("query_type".to_owned(), json!(query_type));
    }
    metadata
}

pub(crate) fn answer(body: &[u8], registration: &Registration<'_>) -> Result<Added, Error> {
    let added: Added = parse_data(body)?;
    if added.user_id == registration.user_id {
        Ok(added)
    } else {
        Err(Error::Malformed(MalformedAnswer::OtherUser))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGISTRATION: Registration<'_> = Registration {
        user_id: "t:u",
        palm_type: PalmType::Left,
        query_type: None,
    };

    #[test]
    fn a_query_type_is_sent_only_when_there_is_one() {
        assert_eq!(
            metadata(&REGISTRATION),
            json!({"user_id": "t:u", "type": "left", "is_encrypted": false})
        );
        let open = Registration {
            query_type: Some(PalmTypes::All),
            ..REGISTRATION
        };
        assert_eq!(
            metadata(&open),
            json!({"user_id": "t:u", "type": "left", "is_encrypted": false, "query_type": "all"})
        );
    }

    #[test]
    fn a_template_of_another_user_is_no_answer() {
        let body = |user| format!(r#"{{"code": 0, "data": {{"user_id": "{user}", "id": 7}}}}"#);
        assert_eq!(answer(body("t:u").as_bytes(), &REGISTRATION).unwrap().id, 7);
        assert!(matches!(
            answer(body("t:other").as_bytes(), &REGISTRATION),
            Err(Error::Malformed(MalformedAnswer::OtherUser))
        ));
        assert!(matches!(
            answer(br#"{"code": 0}"#, &REGISTRATION),
            Err(Error::Malformed(MalformedAnswer::NoData))
        ));
    }
}
