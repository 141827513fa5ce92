use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use identity_store::{Actor, Chain, Event, OAuthClient};
use serde::Serialize;
use utoipa::ToSchema;

use super::client_auth::{Counted, authenticated};
use super::error::{OAuthError, OAuthErrorCode, TokenRefusal};
use super::form::Form;
use super::{CIBA_GRANT, backchannel};
use crate::App;
use crate::http::{Problem, ProblemDocument, RequestContext, Scope};
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
    /// What its user's palm proved, of an authentication request.
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
}

impl TokenAnswer {
    pub(super) fn new(access_token: String, scope: String, id_token: Option<String>) -> Self {
        Self {
            access_token,
            token_type: "Bearer",
            expires_in: ACCESS_TOKEN_LIFE.whole_seconds(),
            scope,
            id_token,
        }
    }
}

/// The form of a token request, for the description of the interface.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that is read")]
pub(super) struct TokenRequest {
    /// `client_credentials`, or `urn:openid:params:grant-type:ciba` with `auth_req_id`.
    #[schema(example = "client_credentials")]
    grant_type: String,
    /// Some of the client's scopes, separated by spaces; all of them when left out.
    scope: Option<String>,
    /// What `/v1/bc-authorize` answered.
    auth_req_id: Option<String>,
    /// Instead of HTTP Basic.
    client_id: Option<String>,
    /// Instead of HTTP Basic.
    client_secret: Option<String>,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`, with `client_assertion`.
    client_assertion_type: Option<String>,
    /// Instead of a secret: a JWT signed by one of the client's keys (RFC 7523 §3), with `iss` and `sub` the
    /// client's id, `aud` the issuer or this endpoint, `exp` within an hour, and a `jti` that was not used.
    client_assertion: Option<String>,
}

/// A grant that a client can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grant {
    ClientCredentials,
    Ciba,
}

/// Gives an access token to a client, by HTTP Basic, `client_id` and `client_secret` in the body, or a
/// `client_assertion`.
#[utoipa::path(post, path = "/v1/auth/token", tag = "oauth",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token", body = TokenAnswer),
        (status = 400, description = "RFC 6749 §5.2; OpenID CIBA Core 1.0 §11", body = OAuthError),
        (status = 401, description = "`invalid_client`", body = OAuthError),
        (status = 429, description = "`rate_limited`", body = ProblemDocument),
    )
)]
pub(super) async fn token(
    State(app): State<Arc<App>>,
    context: RequestContext,
    request: Request,
) -> Result<Response, TokenRefusal> {
    let parameters = ["grant_type", "scope", "auth_req_id"];
    let (client, mut form) =
        authenticated(&app, &context, request, &parameters, Counted::ButPolls).await?;
    let answer = match grant(form.take("grant_type").as_ref().map(|it| it.as_str()))? {
        Grant::ClientCredentials => client_credentials(&app, &context, client, form).await?,
        Grant::Ciba => backchannel::poll(&app, &context, &client, form).await?,
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

fn grant(grant_type: Option<&str>) -> Result<Grant, OAuthError> {
    match grant_type {
        Some("client_credentials") => Ok(Grant::ClientCredentials),
        Some(CIBA_GRANT) => Ok(Grant::Ciba),
        Some(_) => Err(OAuthError::new(
            OAuthErrorCode::UnsupportedGrantType,
            "the grant type is client_credentials or urn:openid:params:grant-type:ciba",
        )),
        None => Err(OAuthError::new(
            OAuthErrorCode::InvalidRequest,
            "grant_type is missing",
        )),
    }
}

async fn client_credentials(
    app: &App,
    context: &RequestContext,
    client: OAuthClient,
    mut form: Form,
) -> Result<TokenAnswer, TokenRefusal> {
    let scopes = granted(&client, form.take("scope").as_ref().map(|it| it.as_str()))?;
    let tokens = app.secrets.tokens.get()?;
    let token = tokens
        .issue_access(&client.client_id, &client.tenant_id, &scopes, context.now)
        .map_err(Problem::internal)?;
    let scope = scope_text(&scopes);
    record_issue(app, context, client, scope.clone()).await?;
    Ok(TokenAnswer::new(token, scope, None))
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
        challenge_id: None,
    };
    Ok(app
        .store
        .record(change, Chain::Tenant(client.tenant_id), vec![event])
        .await?)
}

#[cfg(test)]
mod tests {
    use identity_pki::TenantId;
    use identity_store::ClientId;
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
            jwks: None,
            notification_endpoint: None,
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
    fn two_grants_are_supported() {
        for (name, it) in [
            ("client_credentials", Grant::ClientCredentials),
            ("urn:openid:params:grant-type:ciba", Grant::Ciba),
        ] {
            assert_eq!(grant(Some(name)), Ok(it));
        }
        let code = |name| grant(name).expect_err("refused").code();
        assert_eq!(code(Some("password")), OAuthErrorCode::UnsupportedGrantType);
        assert_eq!(code(None), OAuthErrorCode::InvalidRequest);
    }
}
