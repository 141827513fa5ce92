use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use identity_store::OAuthClient;
use serde::Serialize;
use utoipa::ToSchema;

use super::client_auth::{Counted, authenticated};
use super::error::{OAuthError, TokenRefusal};
use crate::App;
use crate::http::{ProblemDocument, RequestContext};
use crate::tokens::{AccessToken, scope_text};

/// The parameters that a revocation has as well.
pub(super) const PARAMETERS: [&str; 2] = ["token", "token_type_hint"];

/// The form of an introspection, for the description of the interface.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that is read")]
pub(super) struct Introspection {
    /// An access token.
    token: String,
    /// Ignored: there is one type of token.
    token_type_hint: Option<String>,
}

/// What is to be known of a token (RFC 7662 §2.2).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IntrospectionAnswer {
    active: bool,
    /// The rest is there of an active token alone.
    #[serde(flatten)]
    claims: Option<TokenClaims>,
}

/// The claims of an active token.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenClaims {
    #[schema(example = "Bearer")]
    token_type: &'static str,
    scope: String,
    client_id: String,
    sub: String,
    iss: String,
    aud: String,
    tenant_id: String,
    jti: String,
    iat: i64,
    exp: i64,
}

impl TokenClaims {
    fn of(token: AccessToken, issuer: &str) -> Self {
        Self {
            token_type: "Bearer",
            scope: scope_text(&token.scopes),
            client_id: token.client_id.to_string(),
            sub: token.subject(),
            iss: issuer.to_owned(),
            aud: issuer.to_owned(),
            tenant_id: token.tenant_id.to_string(),
            jti: token.jti,
            iat: token.issued_at.unix_timestamp(),
            exp: token.expires_at.unix_timestamp(),
        }
    }
}

/// Tells whether an access token of the client's tenant counts, and for what. Of any other token it is told
/// that it is not active, and nothing else. The client authenticates as at the token endpoint.
#[utoipa::path(post, path = "/v1/auth/introspect", tag = "oauth",
    request_body(content = Introspection, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "RFC 7662 §2.2", body = IntrospectionAnswer),
        (status = 400, description = "`invalid_request`", body = OAuthError),
        (status = 401, description = "`invalid_client`", body = OAuthError),
        (status = 429, description = "`rate_limited`", body = ProblemDocument),
    )
)]
pub(super) async fn introspect(
    State(app): State<Arc<App>>,
    context: RequestContext,
    request: Request,
) -> Result<Response, TokenRefusal> {
    let counted = Counted::Failures;
    let (client, mut form) = authenticated(&app, &context, request, &PARAMETERS, counted).await?;
    let token = form.take("token").ok_or_else(OAuthError::no_token)?;
    let token = active(&app, &context, &client, &token).await?;
    let answer = IntrospectionAnswer {
        active: token.is_some(),
        claims: token.map(|token| TokenClaims::of(token, &app.issuer)),
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// The token, if it counts and is one of the client's tenant, which is served.
async fn active(
    app: &App,
    context: &RequestContext,
    client: &OAuthClient,
    token: &str,
) -> Result<Option<AccessToken>, TokenRefusal> {
    let tokens = app.secrets.tokens.get()?;
    let token = tokens.verify_access(token, context.now).ok();
    let Some(token) = token.filter(|token| token.tenant_id == client.tenant_id) else {
        return Ok(None);
    };
    let stands = app.store.token_stands(&token.issued()).await?;
    Ok(stands.then_some(token))
}
