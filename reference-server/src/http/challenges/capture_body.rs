//! The body of a completion: a palm capture, as JSON or as multipart.

use std::fmt;
use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use identity_challenge::PalmType;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use utoipa::ToSchema;

use crate::App;
use crate::http::{ErrorCode, Form, Problem, from_json, is_form, is_json, read, require_uncoded};
use crate::palm::{Capture, CaptureParts};

/// The largest capture, in bytes of its body (contract §1).
const MAX_CAPTURE: usize = 8 * 1024 * 1024;

/// A palm capture whose images are images.
pub(super) struct CaptureBody(pub(super) Capture);

impl FromRequest<Arc<App>> for CaptureBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, Problem> {
        require_uncoded(request.headers())?;
        let parts = if is_json(request.headers()) {
            json_parts(request).await?
        } else if is_form(request.headers()) {
            form_parts(request).await?
        } else {
            return Err(Problem::new(
                ErrorCode::UnsupportedMediaType,
                "The route takes application/json and multipart/form-data.",
            ));
        };
        Ok(Self(Capture::new(parts)?))
    }
}

/// A capture in JSON.
#[derive(serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CaptureRequest {
    palm_template: PalmTemplate,
}

/// The parts of a capture: images are PNG, everything binary is base64 (RFC 4648 §4).
#[derive(serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PalmTemplate {
    /// `left` or `right`.
    #[serde(rename = "type")]
    #[schema(value_type = Option<String>)]
    palm_type: Option<PalmType>,
    #[schema(value_type = Option<String>)]
    features_rgb: Option<Base64>,
    #[schema(value_type = Option<String>)]
    features_ir: Option<Base64>,
    #[schema(value_type = String)]
    image_rgb: Option<Base64>,
    #[schema(value_type = String)]
    image_ir: Option<Base64>,
}

/// Text that is to be base64; whether it is decides which refusal it gets.
struct Base64(Option<Bytes>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Base64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64 text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Base64, E> {
                Ok(Base64(STANDARD.decode(text).ok().map(Bytes::from)))
            }
        }

        from.deserialize_str(Text)
    }
}

async fn json_parts(request: Request) -> Result<CaptureParts, Problem> {
    let body = read(request, MAX_CAPTURE).await?;
    let CaptureRequest {
        palm_template: template,
    } = from_json(&body)?;
    Ok(CaptureParts {
        palm_type: template.palm_type,
        image_rgb: image("image_rgb", template.image_rgb)?,
        image_ir: image("image_ir", template.image_ir)?,
        features_rgb: features("features_rgb", template.features_rgb)?,
        features_ir: features("features_ir", template.features_ir)?,
    })
}

fn image(part: &str, text: Option<Base64>) -> Result<Option<Bytes>, Problem> {
    let undecodable = || Problem::new(ErrorCode::ImageInvalid, format!("{part} is not base64."));
    text.map(|Base64(bytes)| bytes.ok_or_else(undecodable))
        .transpose()
}

fn features(part: &str, text: Option<Base64>) -> Result<Option<Bytes>, Problem> {
    let undecodable = || Problem::invalid(format!("palm_template.{part}"), "must be base64");
    text.map(|Base64(bytes)| bytes.ok_or_else(undecodable))
        .transpose()
}

async fn form_parts(request: Request) -> Result<CaptureParts, Problem> {
    let mut form = Form::read(request, MAX_CAPTURE).await?;
    let mut parts = CaptureParts::default();
    while let Some((name, bytes)) = form.next().await? {
        take_part(&mut parts, &name, bytes)?;
    }
    Ok(parts)
}

fn take_part(parts: &mut CaptureParts, name: &str, bytes: Bytes) -> Result<(), Problem> {
    let slot = match name {
        "type" => return take_type(&mut parts.palm_type, &bytes),
        "image_rgb" => &mut parts.image_rgb,
        "image_ir" => &mut parts.image_ir,
        "features_rgb" => &mut parts.features_rgb,
        "features_ir" => &mut parts.features_ir,
        unknown => return Err(Problem::invalid(unknown, "is unknown")),
    };
    match slot.replace(bytes) {
        None => Ok(()),
        Some(_) => Err(Problem::invalid(name, "is there twice")),
    }
}

fn take_type(slot: &mut Option<PalmType>, bytes: &[u8]) -> Result<(), Problem> {
    let palm_type = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.parse().ok());
    let palm_type = palm_type.ok_or_else(|| Problem::invalid("type", "must be left or right"))?;
    match slot.replace(palm_type) {
        None => Ok(()),
        Some(_) => Err(Problem::invalid("type", "is there twice")),
    }
}
