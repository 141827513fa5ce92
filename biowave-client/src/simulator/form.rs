use bytes::Bytes;
use hyper::body::Incoming;
use multer::{Constraints, Multipart, SizeLimit};
use serde_json::Value;

use super::picture::Picture;
use super::templates::Palm;
use crate::Operation;

/// The longest body.
const BODY_LIMIT: u64 = 32 * 1024 * 1024;

/// The longest metadata.
const METADATA_LIMIT: u64 = 64 * 1024;

const SAMPLE_PARTS: [(&str, &str); 4] = [
    ("features_rgb", "features_rgb.bin"),
    ("features_ir", "features_ir.bin"),
    ("image_rgb", "image_rgb.png"),
    ("image_ir", "image_ir.png"),
];

/// A call's body, read and checked.
pub(super) struct Form {
    pub(super) metadata: Value,
    pub(super) palm: Option<Palm>,
    /// Names of the parts, in their order.
    pub(super) parts: Vec<String>,
}

/// Reads a body; the error says what is wrong with it.
pub(super) async fn read(
    operation: Operation,
    content_type: &str,
    body: Incoming,
) -> Result<Form, String> {
    let boundary = multer::parse_boundary(content_type).map_err(|error| error.to_string())?;
    let limits = SizeLimit::new()
        .whole_stream(BODY_LIMIT)
        .for_field("metadata", METADATA_LIMIT);
    let mut multipart = Multipart::with_constraints(
        http_body_util::BodyDataStream::new(body),
        boundary,
        Constraints::new().size_limit(limits),
    );
    let mut parts: Vec<(String, Bytes)> = Vec::new();
    while let Some(field) = multipart.next_field().await.map_err(|e| e.to_string())? {
        let name = field.name().unwrap_or_default().to_owned();
        check_part(operation, &name, field.file_name())?;
        if parts.iter().any(|(earlier, _)| *earlier == name) {
            return Err(format!("part {name} comes twice"));
        }
        let bytes = field.bytes().await.map_err(|e| e.to_string())?;
        parts.push((name, bytes));
    }
    let part = |name: &str| {
        parts
            .iter()
            .find(|(part, _)| part == name)
            .map(|(_, bytes)| bytes)
            .ok_or_else(|| format!("part {name} is missing"))
    };
    let metadata =
        serde_json::from_slice(part("metadata")?).map_err(|e| format!("metadata: {e}"))?;
    let picture = |name| Picture::read(part(name)?).ok_or_else(|| format!("part {name} is no PNG"));
    let palm = match operation {
        Operation::Query | Operation::Add => Some(Palm {
            rgb: picture("image_rgb")?,
            ir: picture("image_ir")?,
        }),
        Operation::Delete => None,
    };
    Ok(Form {
        metadata,
        palm,
        parts: parts.into_iter().map(|(name, _)| name).collect(),
    })
}

fn check_part(operation: Operation, name: &str, file_name: Option<&str>) -> Result<(), String> {
    if name == "metadata" {
        return Ok(());
    }
    match SAMPLE_PARTS.iter().find(|(part, _)| *part == name) {
        Some((_, expected)) if operation != Operation::Delete => {
            if file_name == Some(expected) {
                Ok(())
            } else {
                Err(format!(
                    "part {name} has the file name {file_name:?}, not {expected}"
                ))
            }
        }
        Some(_) | None => Err(format!("part {name:?} is unknown to {operation}")),
    }
}
