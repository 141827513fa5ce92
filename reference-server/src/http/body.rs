//! Request bodies and query strings, decoded into types that check themselves.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::multipart::MultipartError;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Multipart, Request};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use sha2::{Digest as _, Sha256};

use super::{ErrorCode, Problem};
use crate::App;

/// The largest JSON body, in bytes.
pub const MAX_JSON: usize = 64 * 1024;

/// How much of a part's name is told of.
const MAX_PART_NAME: usize = 40;

/// How long a whole body may take.
const BODY_TIME: Duration = Duration::from_secs(30);

/// A JSON body of at most [`MAX_JSON`] bytes, decoded into `T`.
///
/// `T` refuses members it does not know (`#[serde(deny_unknown_fields)]`). A request without a body
/// reads as `{}`.
///
/// Refusals: 415 `unsupported_media_type`, 413 `payload_too_large`, 400 `invalid_request` for what
/// is no JSON, and 422 `validation_failed` with the path for what is not a `T`.
#[derive(Debug)]
pub struct JsonBody<T> {
    /// What was sent.
    pub value: T,
    sha256: [u8; 32],
}

impl<T> JsonBody<T> {
    /// SHA-256 of the bytes that were sent.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<App>> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, Problem> {
        let content_type = request.headers().get(CONTENT_TYPE).cloned();
        let is_json = is_json(request.headers());
        let bytes = read(request, MAX_JSON).await?;
        let sha256 = Sha256::digest(&bytes).into();
        if bytes.is_empty() && (content_type.is_none() || is_json) {
            return Ok(Self {
                value: from_json(b"{}")?,
                sha256,
            });
        }
        if !is_json {
            return Err(Problem::new(
                ErrorCode::UnsupportedMediaType,
                "The route takes application/json.",
            ));
        }
        Ok(Self {
            value: from_json(&bytes)?,
            sha256,
        })
    }
}

/// A query string, decoded into `T`, which refuses parameters it does not know. No value holds control
/// characters: nothing that is looked for does, and PostgreSQL has no text with NUL.
///
/// Refusal: 422 `validation_failed` with the parameter's name.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Arc<App>> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        let mut unprintable = pairs.filter(|(_, value)| value.contains(char::is_control));
        if let Some((name, _)) = unprintable.next() {
            return Err(Problem::invalid(name, "must not have control characters"));
        }
        serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs))
            .map(Self)
            .map_err(|error| invalid_member(error.path(), &error.inner().to_string()))
    }
}

/// Refuses a body in a content coding (RFC 9110 §8.4). None is undone here: a few bytes stay a few.
///
/// # Errors
///
/// 415 `unsupported_media_type`.
pub(crate) fn require_uncoded(headers: &HeaderMap) -> Result<(), Problem> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    if codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Ok(());
    }
    Err(Problem::new(
        ErrorCode::UnsupportedMediaType,
        "The route takes a body as it is, without Content-Encoding.",
    ))
}

/// Reads a body of at most `limit` bytes, within 30 seconds.
///
/// # Errors
///
/// 415 `unsupported_media_type` for one in a content coding; 413 `payload_too_large`; 400 `invalid_request` for a body that breaks off or is too slow.
pub async fn read(request: Request, limit: usize) -> Result<Bytes, Problem> {
    require_uncoded(request.headers())?;
    let body = Limited::new(request.into_body(), limit).collect();
    match tokio::time::timeout(BODY_TIME, body).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::new(
            ErrorCode::PayloadTooLarge,
            format!("The route takes at most {limit} bytes."),
        )),
        Ok(Err(error)) => {
            let problem = Problem::new(ErrorCode::InvalidRequest, "The body breaks off.");
            Err(problem.because(error))
        }
        Err(_) => Err(Problem::new(
            ErrorCode::InvalidRequest,
            "The body comes too slowly.",
        )),
    }
}

/// A form whose parts are all here.
pub(crate) struct Form(Multipart);

impl Form {
    /// Reads a form of at most `limit` bytes, within 30 seconds.
    ///
    /// # Errors
    ///
    /// Those of [`read`]; 400 `invalid_request` for a form without a boundary.
    pub(crate) async fn read(request: Request, limit: usize) -> Result<Self, Problem> {
        let (head, body) = request.into_parts();
        require_uncoded(&head.headers)?;
        let bytes = read(Request::new(body), limit).await?;
        let mut request = Request::from_parts(head, bytes.into());
        DefaultBodyLimit::disable().apply(&mut request);
        let form = Multipart::from_request(request, &()).await;
        form.map(Self).map_err(|rejection| {
            let problem = Problem::new(ErrorCode::InvalidRequest, "The form has no boundary.");
            problem.because(rejection)
        })
    }

    /// The next part, by its name.
    ///
    /// # Errors
    ///
    /// 400 `invalid_request` for a form that is malformed.
    pub(crate) async fn next(&mut self) -> Result<Option<(String, Bytes)>, Problem> {
        let Some(field) = self.0.next_field().await.map_err(malformed)? else {
            return Ok(None);
        };
        let name = field.name().unwrap_or_default().chars();
        let name = name.take(MAX_PART_NAME).collect();
        field
            .bytes()
            .await
            .map_err(malformed)
            .map(|bytes| Some((name, bytes)))
    }
}

fn malformed(error: MultipartError) -> Problem {
    Problem::new(ErrorCode::InvalidRequest, "The form is malformed.").because(error)
}

/// Whether the body is declared as JSON: `application/json`, in UTF-8 if it says so.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    is_declared(headers, "application/json")
}

/// Whether the body is declared as a form with parts (RFC 7578).
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    is_declared(headers, "multipart/form-data")
}

fn is_declared(headers: &HeaderMap, media_type: &str) -> bool {
    let declared = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = declared
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case(media_type))
}

pub(crate) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // Serde would also read a struct from an array, by the order of its members.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::invalid("", "must be an object"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        match error.inner().classify() {
            Category::Data => invalid_member(error.path(), &error.inner().to_string()),
            Category::Syntax | Category::Eof | Category::Io => no_json(error.inner()),
        }
    })?;
    json.end().map_err(|error| no_json(&error))?;
    Ok(value)
}

fn no_json(error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    Problem::new(
        ErrorCode::InvalidRequest,
        format!("The body is no JSON: line {line}, column {column}."),
    )
}

fn invalid_member(path: &serde_path_to_error::Path, message: &str) -> Problem {
    let mut path: Vec<String> = match path.to_string() {
        root if root == "." => Vec::new(),
        path => vec![path],
    };
    let (member, reason) = rule(message);
    if let Some(member) =
        member.filter(|member| path.last().is_none_or(|last| !ends_in(last, member)))
    {
        path.push(member.to_owned());
    }
    Problem::invalid(path.join("."), reason)
}

fn ends_in(path: &str, member: &str) -> bool {
    path.strip_suffix(member)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// What a decoder's message says: the member that it names, if it does, and the rule, without the
/// value that was sent, which may be a password.
fn rule(message: &str) -> (Option<&str>, String) {
    let message = message
        .rsplit_once(" at line ")
        .map_or(message, |(message, _)| message);
    let named = |prefix: &str| {
        let (member, _) = message.strip_prefix(prefix)?.split_once('`')?;
        Some(member)
    };
    if let Some(member) = named("missing field `") {
        return (Some(member), "is missing".to_owned());
    }
    if let Some(member) = named("duplicate field `") {
        return (Some(member), "is there twice".to_owned());
    }
    if let Some(member) = named("unknown field `") {
        return (Some(member), "is unknown".to_owned());
    }
    let echoes = [
        "invalid type: ",
        "invalid value: ",
        "invalid length ",
        "unknown variant ",
    ];
    if echoes.iter().any(|prefix| message.starts_with(prefix)) {
        let expected = message
            .rsplit_once(", expected ")
            .map_or("another value", |(_, e)| e);
        return match expected.starts_with("struct ") {
            true => (None, "must be an object".to_owned()),
            false => (None, format!("must be {expected}")),
        };
    }
    (None, message.to_owned())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use hyper::body::Frame;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[serde(rename = "inner")]
        _inner: Inner,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[serde(rename = "count")]
        _count: u32,
    }

    fn refusal(json: &str) -> serde_json::Value {
        let problem = from_json::<Outer>(json.as_bytes()).expect_err("refused");
        serde_json::from_slice(&problem.to_json("r")).expect("JSON")
    }

    fn form(body: axum::body::Body) -> Request {
        let request = Request::builder().header(CONTENT_TYPE, "multipart/form-data; boundary=x");
        request.body(body).expect("a request")
    }

    async fn names(body: axum::body::Body) -> Result<Vec<(String, usize)>, ErrorCode> {
        let read = async {
            let mut form = Form::read(form(body), 300).await?;
            let mut names = Vec::new();
            while let Some((name, bytes)) = form.next().await? {
                names.push((name, bytes.len()));
            }
            Ok(names)
        };
        read.await.map_err(|problem: Problem| problem.code())
    }

    fn part(name: &str, text: &str) -> String {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
    }

    #[tokio::test]
    async fn a_form_is_read_within_its_limit() {
        let long = "n".repeat(50);
        let good = part("cert", "PEM") + &part(&long, "") + "--x--\r\n";
        let expected = Ok(vec![("cert".to_owned(), 3), ("n".repeat(40), 0)]);
        assert_eq!(names(good.clone().into()).await, expected);
        let too_large = part("cert", &"P".repeat(300)) + "--x--\r\n";
        let refused = names(too_large.into()).await;
        assert_eq!(refused, Err(ErrorCode::PayloadTooLarge));
        let broken = names(good[..20].to_owned().into()).await;
        assert_eq!(broken, Err(ErrorCode::InvalidRequest));
    }

    /// A client that says nothing more.
    struct Silence;

    impl hyper::body::Body for Silence {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_form_that_does_not_end_is_given_up() {
        let began = tokio::time::Instant::now();
        let refused = names(axum::body::Body::new(Silence)).await;
        assert_eq!(refused, Err(ErrorCode::InvalidRequest));
        assert_eq!(began.elapsed(), BODY_TIME);
    }

    #[test]
    fn a_body_in_a_content_coding_is_refused() {
        for (codings, taken) in [
            (&[][..], true),
            (&["identity"], true),
            (&["Identity", "identity"], true),
            (&["gzip"], false),
            (&["identity", "gzip"], false),
            (&["identity, gzip"], false),
            (&["br"], false),
            (&[""], false),
        ] {
            let coded = codings.iter().map(|coding| {
                let coding = http::HeaderValue::from_static(coding);
                (CONTENT_ENCODING, coding)
            });
            let mut headers = HeaderMap::new();
            for (name, coding) in coded {
                headers.append(name, coding);
            }
            let refused = require_uncoded(&headers).map_err(|problem| problem.code());
            let expected = Err(ErrorCode::UnsupportedMediaType);
            assert_eq!(
                refused,
                if taken { Ok(()) } else { expected },
                "{codings:?}"
            );
        }
    }

    #[test]
    fn a_broken_rule_is_told_with_its_path() {
        for (json, path, reason) in [
            ("{}", "inner", "is missing"),
            (r#"{"inner":{}}"#, "inner.count", "is missing"),
            (
                r#"{"inner":{"count":1,"more":2}}"#,
                "inner.more",
                "is unknown",
            ),
            (
                r#"{"inner":{"count":1,"count":2}}"#,
                "inner.count",
                "is there twice",
            ),
            (
                r#"{"inner":{"count":"hunter2"}}"#,
                "inner.count",
                "must be u32",
            ),
            (r#"{"inner":{"count":-1}}"#, "inner.count", "must be u32"),
            (r#"{"inner":7}"#, "inner", "must be an object"),
            ("7", "", "must be an object"),
            (r#" [{"count":1}]"#, "", "must be an object"),
        ] {
            let document = refusal(json);
            assert_eq!(document["error"], "validation_failed", "{json}");
            assert_eq!(
                document["fields"],
                serde_json::json!([{"path": path, "reason": reason}]),
                "{json}"
            );
            assert!(!document.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        for json in [
            "",
            "{",
            "nul",
            r#"{"inner":{"count":1}} {}"#,
            "{\"inner\":\u{1}}",
        ] {
            assert_eq!(refusal(json)["error"], "invalid_request", "{json}");
        }
    }

    #[test]
    fn json_is_recognised_by_its_media_type() {
        for (value, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/jsonp", false),
            ("text/json", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value.parse().expect("header"))]);
            assert_eq!(is_json(&headers), expected, "{value}");
        }
    }
}
