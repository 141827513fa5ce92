//! Uploads of certificates and keys: the text parts of a multipart body.

use axum::extract::Request;
use identity_store::PrivateKeyPem;

use crate::http::{ErrorCode, Form, Problem, is_form};

/// The largest upload: all parts together.
const MAX_UPLOAD: usize = 256 * 1024;

/// The parts of these names, each at most once; any other is refused.
pub(super) async fn parts<const N: usize>(
    request: Request,
    names: [&str; N],
) -> Result<[Option<String>; N], Problem> {
    if !is_form(request.headers()) {
        let detail = "The route takes multipart/form-data.";
        return Err(Problem::new(ErrorCode::UnsupportedMediaType, detail));
    }
    let mut form = Form::read(request, MAX_UPLOAD).await?;
    let mut parts = [const { None }; N];
    while let Some((name, bytes)) = form.next().await? {
        let mut named = names.iter().zip(&mut parts);
        let Some((_, part)) = named.find(|(known, _)| **known == name) else {
            return Err(Problem::invalid(name, "is unknown"));
        };
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
