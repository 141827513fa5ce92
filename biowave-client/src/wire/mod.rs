//! The wire format: one module an operation, and what they share.

pub(crate) mod add;
pub(crate) mod delete;
pub(crate) mod query;

use std::fmt;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::multipart::{Form, Part};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Error, MalformedAnswer, Refusal, Sample};

/// One of the palm server's three operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `/KZ/query`: compare a sample with all templates.
    Query,
    /// `/KZ/add`: learn a template.
    Add,
    /// `/KZ/delete`: forget templates.
    Delete,
}

impl Operation {
    /// The last segment of its path.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Add => "add",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A body: the sample's parts, if there is a sample, and the metadata.
pub(crate) fn form(sample: Option<&Sample>, metadata: &serde_json::Value) -> Form {
    let mut form = Form::new();
    if let Some(sample) = sample {
        for (name, file_name, content_type, bytes) in sample_parts(sample) {
            form = form.part(name, part(content_type, bytes).file_name(file_name));
        }
    }
    let metadata = Bytes::from(metadata.to_string());
    form.part("metadata", part("application/json", metadata))
}

type SamplePart = (&'static str, &'static str, &'static str, Bytes);

fn sample_parts(sample: &Sample) -> impl Iterator<Item = SamplePart> {
    let features = |name, file_name, bytes: &Option<Bytes>| {
        bytes
            .clone()
            .map(|bytes| (name, file_name, "application/octet-stream", bytes))
    };
    let image =
        |name, file_name, bytes: &Bytes| Some((name, file_name, "image/png", bytes.clone()));
    [
        features("features_rgb", "features_rgb.bin", &sample.features_rgb),
        features("features_ir", "features_ir.bin", &sample.features_ir),
        image("image_rgb", "image_rgb.png", &sample.image_rgb),
        image("image_ir", "image_ir.png", &sample.image_ir),
    ]
    .into_iter()
    .flatten()
}

fn part(content_type: &'static str, bytes: Bytes) -> Part {
    let length = bytes.len() as u64;
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
    Part::stream_with_length(bytes, length).headers(headers)
}

/// What every answer has. `msg` is for people at the vendor's, and is not read.
#[derive(Deserialize)]
struct Envelope {
    code: i64,
    #[serde(default)]
    data: Option<serde_json::Value>,
}

/// Reads an answer: its refusal, or its `data`, if there is any.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<Option<T>, Error> {
    let malformed = |error: serde_json::Error| Error::Malformed(error.into());
    let envelope: Envelope = serde_json::from_slice(body).map_err(malformed)?;
    match (Refusal::from_code(envelope.code), envelope.data) {
        (Some(refusal), _) => Err(Error::Refused(refusal)),
        (None, None) => Ok(None),
        (None, Some(data)) => serde_json::from_value(data).map(Some).map_err(malformed),
    }
}

/// Reads an answer that has `data`.
pub(crate) fn parse_data<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    parse(body)?.ok_or(Error::Malformed(MalformedAnswer::NoData))
}
