use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::Problem;

/// Why a client is refused (RFC 6749 §5.2; CIBA Core 1.0 §§11, 13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OAuthErrorCode {
    InvalidRequest,
    InvalidClient,
    UnauthorizedClient,
    UnsupportedGrantType,
    InvalidScope,
    InvalidGrant,
    AuthorizationPending,
    SlowDown,
    ExpiredToken,
    AccessDenied,
    UnknownUserId,
    InvalidBindingMessage,
}

/// What a client is told that did not prove itself.
pub(super) const AUTHENTICATION_FAILED: &str = "client authentication failed";

/// A refusal of an endpoint of OAuth's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct OAuthError {
    error: OAuthErrorCode,
    error_description: &'static str,
    /// Whether the client authenticated by HTTP Basic, and is to be told so.
    #[serde(skip)]
    basic: bool,
    /// Whether the request is refused before there is a grant (CIBA Core 1.0 §13).
    #[serde(skip)]
    forbidden: bool,
}

impl OAuthError {
    pub(super) fn new(error: OAuthErrorCode, error_description: &'static str) -> Self {
        Self {
            error,
            error_description,
            basic: false,
            forbidden: false,
        }
    }

    /// 403 `access_denied`: nobody is asked.
    pub(super) fn forbidden(error_description: &'static str) -> Self {
        Self {
            forbidden: true,
            ..Self::new(OAuthErrorCode::AccessDenied, error_description)
        }
    }

    /// 401 `invalid_client`: one answer for an unknown client and for a wrong secret.
    pub(super) fn invalid_client(basic: bool) -> Self {
        Self {
            basic,
            ..Self::new(OAuthErrorCode::InvalidClient, AUTHENTICATION_FAILED)
        }
    }

    /// 400 `invalid_request` of what is asked about a token.
    pub(super) fn no_token() -> Self {
        Self::new(OAuthErrorCode::InvalidRequest, "token is missing")
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> OAuthErrorCode {
        self.error
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let status = match self.error {
            _ if self.forbidden => StatusCode::FORBIDDEN,
            OAuthErrorCode::InvalidClient => StatusCode::UNAUTHORIZED,
            OAuthErrorCode::InvalidRequest
            | OAuthErrorCode::UnauthorizedClient
            | OAuthErrorCode::UnsupportedGrantType
            | OAuthErrorCode::InvalidScope
            | OAuthErrorCode::InvalidGrant
            | OAuthErrorCode::AuthorizationPending
            | OAuthErrorCode::SlowDown
            | OAuthErrorCode::ExpiredToken
            | OAuthErrorCode::AccessDenied
            | OAuthErrorCode::UnknownUserId
            | OAuthErrorCode::InvalidBindingMessage => StatusCode::BAD_REQUEST,
        };
        let basic = self.basic;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if basic {
            let challenge = HeaderValue::from_static("Basic realm=\"token\", charset=\"UTF-8\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// What an endpoint of OAuth's answers instead of what was asked for.
#[derive(Debug)]
pub(super) enum TokenRefusal {
    /// A refusal in OAuth's own terms.
    OAuth(OAuthError),
    /// Too many requests, or the server failed.
    Problem(Problem),
}

impl From<OAuthError> for TokenRefusal {
    fn from(error: OAuthError) -> Self {
        Self::OAuth(error)
    }
}

impl From<Problem> for TokenRefusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<identity_store::Error> for TokenRefusal {
    fn from(error: identity_store::Error) -> Self {
        Self::Problem(error.into())
    }
}

impl IntoResponse for TokenRefusal {
    fn into_response(self) -> Response {
        match self {
            Self::OAuth(error) => error.into_response(),
            Self::Problem(problem) => problem.into_response(),
        }
    }
}
