use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use identity_store::Actor;
use utoipa::ToSchema;

use super::client_auth::{Counted, authenticated};
use super::error::{OAuthError, OAuthErrorCode, TokenRefusal};
use super::introspect::PARAMETERS;
use crate::App;
use crate::http::{ProblemDocument, RequestContext};

/// The form of a revocation, for the description of the interface.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that is read")]
pub(super) struct Revocation {
    /// An access token.
    token: String,
    /// Ignored: there is one type of token.
    token_type_hint: Option<String>,
}

/// Revokes an access token of the client's own: every replica refuses it from the answer on. A token that
/// is unknown, expired or revoked already is no error. The client authenticates as at the token endpoint.
#[utoipa::path(post, path = "/v1/auth/revoke", tag = "oauth",
    request_body(content = Revocation, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token is none, or no longer one"),
        (status = 400, description = "RFC 7009 §2.2.1; `unauthorized_client` for a token of another client",
            body = OAuthError),
        (status = 401, description = "`invalid_client`", body = OAuthError),
        (status = 429, description = "`rate_limited`", body = ProblemDocument),
    )
)]
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    context: RequestContext,
    request: Request,
) -> Result<Response, TokenRefusal> {
    let counted = Counted::Failures;
    let (client, mut form) = authenticated(&app, &context, request, &PARAMETERS, counted).await?;
    let token = form.take("token").ok_or_else(OAuthError::no_token)?;
    let tokens = app.secrets.tokens.get()?;
    if let Ok(token) = tokens.verify_access(&token, context.now) {
        if token.client_id != client.client_id {
            let description = "the token was given to another client";
            return Err(OAuthError::new(OAuthErrorCode::UnauthorizedClient, description).into());
        }
        let change = context.change(Actor::Client(client.client_id));
        app.store.revoke_token(change, &token.issued()).await?;
    }
    Ok((StatusCode::OK, [(CACHE_CONTROL, "no-store")]).into_response())
}
