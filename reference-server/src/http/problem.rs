use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use time::OffsetDateTime;

use super::ErrorCode;

/// The media type of a problem document (RFC 9457 §3).
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// A refusal or a failure, as the caller gets to see it (contract §1).
///
/// As a response it carries no body yet: the outermost middleware writes the document, since only
/// it knows the request id. `detail` is shown to the caller, so it never holds a secret, a template,
/// SQL or a path; the [source](Self::because) is logged and not shown.
#[derive(Debug, Clone)]
pub struct Problem(Box<Occurrence>);

#[derive(Debug, Clone)]
struct Occurrence {
    code: ErrorCode,
    detail: String,
    reason: Option<String>,
    fields: Vec<FieldError>,
    retry: Option<Retry>,
    www_authenticate: Option<HeaderValue>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// When a caller may try again.
#[derive(Debug, Clone, Copy)]
enum Retry {
    After(Duration),
    At(OffsetDateTime),
}

/// A member of the request that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// Where it is: member names joined by dots.
    pub path: String,
    /// Which rule it breaks.
    pub reason: String,
}

/// The problem document, for the description of the interface.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    error: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    fields: &'a [FieldError],
}

impl Problem {
    /// A problem with what the caller is told about this occurrence of it.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Occurrence {
            code,
            detail: detail.into(),
            reason: None,
            fields: Vec::new(),
            retry: None,
            www_authenticate: None,
            source: None,
        }))
    }

    /// 422 `validation_failed` for one member.
    #[must_use]
    pub fn invalid(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(
            ErrorCode::ValidationFailed,
            "A member of the request breaks a rule.",
        )
        .field(path, reason)
    }

    /// 404 `not_found`, which is also the answer for what belongs to another tenant.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("There is no such {what}."))
    }

    /// 503 `unavailable`: what the request needs is stored and cannot be read.
    #[must_use]
    pub fn unreadable(what: &str) -> Self {
        let detail = format!(
            "{what} cannot be read: an operator has to restore it or its data key, or to replace it."
        );
        Self::new(ErrorCode::Unavailable, detail).retry_after(crate::issuance::RETRY_AFTER)
    }

    /// 500 `internal`: `source` is logged, the caller sees none of it.
    #[must_use]
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(
            ErrorCode::Internal,
            "The server failed; the request id is in its log.",
        )
        .because(source)
    }

    /// With the name of the rule that was broken.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.0.reason = Some(reason.into());
        self
    }

    /// With a member that breaks a rule.
    #[must_use]
    pub fn field(mut self, path: impl Into<String>, reason: impl Into<String>) -> Self {
        self.0.fields.push(FieldError {
            path: path.into(),
            reason: reason.into(),
        });
        self
    }

    /// With `Retry-After`, in whole seconds, rounded up.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.0.retry = Some(Retry::After(after));
        self
    }

    /// With `Retry-After`, counted from the moment of the answer to `at`.
    #[must_use]
    pub fn retry_at(mut self, at: OffsetDateTime) -> Self {
        self.0.retry = Some(Retry::At(at));
        self
    }

    /// With `WWW-Authenticate` (RFC 9110 §11.6.1).
    #[must_use]
    pub fn challenge(mut self, challenge: HeaderValue) -> Self {
        self.0.www_authenticate = Some(challenge);
        self
    }

    /// With the error behind it, for the log.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// Its code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The error behind it and that error's own sources, each once, for the log.
    #[must_use]
    pub fn source_chain(&self) -> Option<String> {
        let first: &(dyn StdError + 'static) = self.0.source.as_deref()?;
        let chain = std::iter::successors(Some(first), |&error| error.source());
        Some(
            chain
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(": "),
        )
    }

    /// The document, under a request id.
    #[must_use]
    pub fn to_json(&self, request_id: &str) -> Vec<u8> {
        let document = ProblemDocument {
            kind: format!("urn:link:problem:{}", self.0.code.as_str()),
            title: self.0.code.title(),
            status: self.0.code.status().as_u16(),
            detail: &self.0.detail,
            error: self.0.code.as_str(),
            request_id,
            reason: self.0.reason.as_deref(),
            fields: &self.0.fields,
        };
        // Strings and numbers under string keys: there is nothing that JSON could not hold.
        serde_json::to_vec(&document).unwrap_or_default()
    }

    /// The whole response, under a request id, as given at `now`.
    #[must_use]
    pub fn render(&self, request_id: &str, now: OffsetDateTime) -> Response {
        let mut response = (self.0.code.status(), self.to_json(request_id)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(retry) = self.0.retry {
            let after = match retry {
                Retry::After(after) => after,
                Retry::At(at) => Duration::try_from(at - now).unwrap_or_default(),
            };
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
        }
        if let Some(challenge) = &self.0.www_authenticate {
            headers.insert(WWW_AUTHENTICATE, challenge.clone());
        }
        response
    }
}

/// At least 1: a client that is told 0 would come back at once.
fn whole_seconds(after: Duration) -> u64 {
    let partial = u64::from(after.subsec_nanos() > 0);
    after.as_secs().saturating_add(partial).max(1)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.0.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The problem of a response that a component without problems of its own refused with, such as
/// axum's router; `None` for a success and for a body that is made for the caller.
#[must_use]
pub(super) fn foreign_refusal(response: &Response) -> Option<Problem> {
    let status = response.status();
    let refused = status.is_client_error() || status.is_server_error();
    let content_type = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok());
    let plain = content_type.is_none_or(|value| value.starts_with("text/plain"));
    (refused && plain).then(|| {
        let code = ErrorCode::of_status(status);
        let detail = match status {
            StatusCode::NOT_FOUND => "There is no such route.",
            StatusCode::METHOD_NOT_ALLOWED => "The route does not take this method.",
            _ => code.title(),
        };
        Problem::new(code, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(problem: &Problem) -> serde_json::Value {
        serde_json::from_slice(&problem.to_json("req-1")).expect("JSON")
    }

    #[test]
    fn the_document_has_the_members_of_the_contract() {
        let problem = Problem::invalid("ttl_seconds", "must be 15 to 600");
        assert_eq!(
            document(&problem),
            serde_json::json!({
                "type": "urn:link:problem:validation_failed",
                "title": "The request breaks a rule",
                "status": 422,
                "detail": "A member of the request breaks a rule.",
                "error": "validation_failed",
                "request_id": "req-1",
                "fields": [{"path": "ttl_seconds", "reason": "must be 15 to 600"}],
            })
        );
    }

    #[test]
    fn the_source_is_for_the_log_alone() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] std::fmt::Error);

        let problem = Problem::internal(Outer(std::fmt::Error));
        let chain = problem.source_chain().expect("a source");
        assert_eq!(chain, format!("outer: {}", std::fmt::Error));
        assert!(!document(&problem).to_string().contains("outer"));
    }

    #[test]
    fn retry_after_is_rounded_up_and_never_zero() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (29_999, 30)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }

    #[test]
    fn only_plain_refusals_are_taken_for_foreign() {
        let json = (StatusCode::BAD_REQUEST, axum::Json(())).into_response();
        assert!(foreign_refusal(&json).is_none());
        assert!(foreign_refusal(&StatusCode::OK.into_response()).is_none());
        let text = (StatusCode::PAYLOAD_TOO_LARGE, "length limit exceeded").into_response();
        let code = foreign_refusal(&text).map(|problem| problem.code());
        assert_eq!(code, Some(ErrorCode::PayloadTooLarge));
    }
}
