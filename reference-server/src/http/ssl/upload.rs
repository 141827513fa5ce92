//! Uploads of certificates and keys: the text parts of a multipart body.

use axum::extract::multipart::{Multipart, MultipartError, MultipartRejection};
use http::StatusCode;
use identity_store::PrivateKeyPem;

use crate::http::{ErrorCode, Problem};

/// The largest upload: all parts together.
pub(super) const MAX_UPLOAD: usize = 256 * 1024;

/// The parts of these names, each at most once; any other is refused.
pub(super) async fn parts<const N: usize>(
    multipart: Result<Multipart, MultipartRejection>,
    names: [&str; N],
) -> Result<[Option<String>; N], Problem> {
    let mut multipart = multipart.map_err(|rejection| {
        Problem::new(
            ErrorCode::UnsupportedMediaType,
            "The route takes multipart/form-data.",
        )
        .because(rejection)
    })?;
    let mut parts = [const { None }; N];
    while let Some(field) = multipart.next_field().await.map_err(broken)? {
        let name = field.name().unwrap_or_default().to_owned();
        let mut named = names.iter().zip(&mut parts);
        let Some((_, part)) = named.find(|(known, _)| **known == name) else {
            return Err(Problem::invalid(name, "is unknown"));
        };
        let bytes = field.bytes().await.map_err(broken)?;
        let text = String::from_utf8(bytes.into()).map_err(|_| binary(&name))?;
        if part.replace(text).is_some() {
            return Err(Problem::invalid(name, "is there twice"));
        }
    }
    Ok(parts)
}

/// A part that has to be there.
pub(super) fn required(name: &str, part: Option<String>) -> Result<String, Problem> {
    part.ok_or_else(|| Problem::invalid(name, "is missing"))
}

/// The part with the private key, which has to be there.
pub(super) fn key(part: Option<String>) -> Result<PrivateKeyPem, Problem> {
    required("key", part).map(PrivateKeyPem::new)
}

fn binary(part: &str) -> Problem {
    let detail =
        format!("{part} is binary: the route takes PEM, which `openssl` writes by itself.");
    Problem::new(ErrorCode::PemInvalid, detail)
}

fn broken(error: MultipartError) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = format!("The route takes at most {MAX_UPLOAD} bytes.");
        Problem::new(ErrorCode::PayloadTooLarge, detail)
    } else {
        Problem::new(
            ErrorCode::InvalidRequest,
            "The multipart body cannot be read.",
        )
        .because(error)
    }
}
