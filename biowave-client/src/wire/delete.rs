//! `/KZ/delete` is this project's assumption: the vendor's own interface is not in the
//! specification. Path, metadata and answer are all here.

use serde::Deserialize;
use serde_json::{Value, json};

use super::parse_data;
use crate::{Error, PalmTypes};

/// The answer to a deletion (assumed, like the whole operation).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Deleted {
    /// How many templates were there to forget; none is success too.
    pub deleted: u64,
}

pub(crate) fn metadata(user_id: &str, palms: PalmTypes) -> Value {
    json!({"user_id": user_id, "type": palms})
}

pub(crate) fn answer(body: &[u8]) -> Result<Deleted, Error> {
    parse_data(body)
}
