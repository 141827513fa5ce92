use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use identity_store::{Actor, Chain, ClientId, Event, OAuthClient, TenantStatus};
use serde::Serialize;
use utoipa::ToSchema;

use super::client_auth::{Claim, is_secret_of};
use super::error::{OAuthError, OAuthErrorCode, TokenRefusal};
use super::form::TokenForm;
use crate::App;
use crate::http::{ErrorCode, MAX_JSON, Problem, ProblemDocument, RequestContext, Scope, Source};
use crate::tokens::{ACCESS_TOKEN_LIFE, scope_text};

/// An access token (RFC 6749 §5.1).
#[derive(Serialize, ToSchema)]
pub(super) struct TokenAnswer {
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    #[schema(example = 900)]
    expires_in: i64,
    scope: String,
}

/// The form of a token request, for the description of the interface.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that `TokenForm` reads")]
pub(super) struct TokenRequest {
    #[schema(example = "client_credentials")]
    grant_type: String,
    /// Some of the client's scopes, separated by spaces; all of them when left out.
    scope: Option<String>,
    /// Instead of HTTP Basic.
    client_id: Option<String>,
    /// Instead of HTTP Basic.
    client_secret: Option<String>,
}

/// Gives an access token to a client, by HTTP Basic or `client_id` and `client_secret` in the body.
#[utoipa::path(post, path = "/v1/auth/token", tag = "oauth",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token", body = TokenAnswer),
        (status = 400, description = "RFC 6749 §5.2", body = OAuthError),
        (status = 401, description = "`invalid_client`", body = OAuthError),
        (status = 429, description = "`rate_limited`", body = ProblemDocument),
    )
)]
pub(super) async fn token(
    State(app): State<Arc<App>>,
    context: RequestContext,
    request: Request,
) -> Result<Response, TokenRefusal> {
    app.rate_limits
        .sign_in
        .take(
            app.shared_store(),
            Source::from(context.source),
            context.now,
        )
        .await
        .map_err(|refusal| refusal.problem(ErrorCode::RateLimited, "Too many token requests."))?;
    let headers = request.headers().clone();
    let body = crate::http::read(request, MAX_JSON).await?;
    let mut form = TokenForm::parse(&headers, &body)?;
    let claim = Claim::of(&headers, &mut form)?;
    let client = authenticate(&app, &context, &claim).await?;
    require_active_tenant(&app, &client).await?;
    require_grant(form.grant_type.as_deref())?;
    let scopes = granted(&client, form.scope.as_deref())?;
    let tokens = app.secrets.tokens.get()?;
    let token = tokens
        .issue_access(&client.client_id, &client.tenant_id, &scopes, context.now)
        .map_err(Problem::internal)?;
    let scope = scope_text(&scopes);
    record_issue(&app, &context, client, scope.clone()).await?;
    let answer = TokenAnswer {
        access_token: token,
        token_type: "Bearer",
        expires_in: ACCESS_TOKEN_LIFE.whole_seconds(),
        scope,
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// The client that the claim is true of.
async fn authenticate(
    app: &App,
    context: &RequestContext,
    claim: &Claim,
) -> Result<OAuthClient, TokenRefusal> {
    let client_id = claim.client_id.parse::<ClientId>().ok();
    let client = match &client_id {
        Some(client_id) => app.store.client(client_id).await?,
        None => None,
    };
    let (chain, reason) = match client {
        Some(client) if is_secret_of(&client, &claim.secret, context.now) => return Ok(client),
        Some(client) => (Chain::Tenant(client.tenant_id), "wrong_secret"),
        None => (Chain::Platform, "unknown_client"),
    };
    // What is no client id may be a secret in the wrong place: it is not written down.
    let client_id = client_id.map(String::from).unwrap_or_default();
    let event = Event::ClientAuthFailed { client_id, reason };
    app.store
        .record(context.change(Actor::Anonymous), chain, vec![event])
        .await?;
    Err(OAuthError::invalid_client(claim.basic).into())
}

async fn require_active_tenant(app: &App, client: &OAuthClient) -> Result<(), TokenRefusal> {
    match app
        .store
        .tenant(&client.tenant_id)
        .await?
        .map(|tenant| tenant.status)
    {
        Some(TenantStatus::Active) => Ok(()),
        Some(TenantStatus::Suspended) | None => {
            let description = "the client's tenant is suspended";
            Err(OAuthError::new(OAuthErrorCode::UnauthorizedClient, description).into())
        }
    }
}

fn require_grant(grant_type: Option<&str>) -> Result<(), OAuthError> {
    match grant_type {
        Some("client_credentials") => Ok(()),
        Some(_) => Err(OAuthError::new(
            OAuthErrorCode::UnsupportedGrantType,
            "the grant type is client_credentials",
        )),
        None => Err(OAuthError::new(
            OAuthErrorCode::InvalidRequest,
            "grant_type is missing",
        )),
    }
}

/// The scopes asked for, all of which the client has; all that it has, when it asks for none.
fn granted(client: &OAuthClient, asked: Option<&str>) -> Result<BTreeSet<Scope>, OAuthError> {
    let refused = || {
        let description = "scope names something that the client does not have";
        OAuthError::new(OAuthErrorCode::InvalidScope, description)
    };
    let names: Vec<&str> = match asked {
        Some(asked) => asked.split(' ').collect(),
        None => client.scopes.iter().map(String::as_str).collect(),
    };
    if !names.iter().all(|name| client.scopes.contains(*name)) {
        return Err(refused());
    }
    names
        .into_iter()
        .map(|name| name.parse().map_err(|_| refused()))
        .collect()
}

async fn record_issue(
    app: &App,
    context: &RequestContext,
    client: OAuthClient,
    scope: String,
) -> Result<(), TokenRefusal> {
    let change = context.change(Actor::Client(client.client_id.clone()));
    let event = Event::TokenIssued {
        client_id: client.client_id,
        scope,
    };
    Ok(app
        .store
        .record(change, Chain::Tenant(client.tenant_id), vec![event])
        .await?)
}

#[cfg(test)]
mod tests {
    use identity_pki::TenantId;
    use time::OffsetDateTime;

    use super::*;

    fn client(scopes: &[&str]) -> OAuthClient {
        let now = OffsetDateTime::UNIX_EPOCH;
        OAuthClient {
            client_id: ClientId::generate(now, &mut crate::clock::entropy()),
            tenant_id: TenantId::new("acme").expect("tenant"),
            name: "Backend".into(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            secrets: Vec::new(),
            created_at: now,
        }
    }

    #[test]
    fn a_client_gets_what_it_has_and_asks_for() {
        let client = client(&["devices.read", "devices.write"]);
        let scopes = |asked| granted(&client, asked).map(|scopes| scope_text(&scopes));
        assert_eq!(scopes(None).as_deref(), Ok("devices.read devices.write"));
        assert_eq!(
            scopes(Some("devices.write")).as_deref(),
            Ok("devices.write")
        );
        for refused in [
            "devices.revoke",
            "devices.read users.read",
            "devices.read ",
            "*",
            " ",
        ] {
            let error = scopes(Some(refused)).expect_err(refused);
            assert_eq!(error.code(), OAuthErrorCode::InvalidScope, "{refused:?}");
        }
    }

    #[test]
    fn one_grant_is_supported() {
        assert!(require_grant(Some("client_credentials")).is_ok());
        let code = |grant| require_grant(grant).expect_err("refused").code();
        assert_eq!(code(Some("password")), OAuthErrorCode::UnsupportedGrantType);
        assert_eq!(code(None), OAuthErrorCode::InvalidRequest);
    }
}
