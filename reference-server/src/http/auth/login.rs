use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, StatusCode};
use identity_store::{Actor, NewSession, Operator, Session, SessionId, rfc3339};
use serde::{Deserialize, Serialize};
use time::Duration;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::UserBody;
use crate::http::caller::require_active;
use crate::http::{
    ConsoleSession, Email, ErrorCode, JsonBody, Problem, ProblemDocument, RequestContext, Source,
    cookie, csrf, session_token_hash,
};
use crate::password::{Password, Turn};
use crate::{App, clock};

/// How long a session lives at most.
const SESSION_LIFE: Duration = Duration::hours(12);

/// So many failed sign-ins within this time lock an address.
const MAX_FAILURES: u32 = 10;
const FAILURE_WINDOW: Duration = Duration::minutes(15);

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginRequest {
    #[schema(example = "root@example.com")]
    email: String,
    #[schema(value_type = String)]
    password: Password,
}

#[derive(Serialize, ToSchema)]
struct LoginAnswer {
    session: SessionToken,
    must_change_password: bool,
    mfa_required: bool,
    user: UserBody,
}

#[derive(Serialize, ToSchema)]
struct SessionToken {
    token: String,
    expires_at: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Me {
    #[serde(flatten)]
    user: UserBody,
    /// Goes into `X-CSRF-Token` of every write that the session's cookie speaks for.
    csrf_token: String,
}

/// Opens a session.
///
/// An unknown address and a wrong password get the same answer after the same work. After 10
/// failures in 15 minutes an address is locked, whether or not it is known.
#[utoipa::path(
    post, path = "/v1/auth/login", tag = "sign-in",
    request_body = LoginRequest,
    responses(
        (status = 200, description = "The session, also set as a cookie.", body = LoginAnswer),
        (status = 401, description = "`invalid_credentials`", body = ProblemDocument),
        (status = 403, description = "`cross_site_request`, `tenant_suspended`", body = ProblemDocument),
        (status = 423, description = "`account_locked`", body = ProblemDocument),
        (status = 429, description = "`rate_limited`", body = ProblemDocument),
    ),
)]
pub(super) async fn login(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    request: RequestContext,
    body: JsonBody<LoginRequest>,
) -> Result<Response, Problem> {
    // Or a page of another site could sign its visitor in as somebody else.
    csrf::refuse_other_sites(&headers)?;
    app.rate_limits
        .sign_in
        .take(
            app.shared_store(),
            Source::from(request.source),
            request.now,
        )
        .await
        .map_err(|refusal| {
            refusal.problem(
                ErrorCode::RateLimited,
                "Too many sign-ins from this address.",
            )
        })?;
    let email = Email::parse(&body.value.email)
        .map_err(|error| Problem::invalid("email", error.to_string()))?;
    // The count is read, and a failure noted, within the turn: guesses cannot all run at once.
    let turn = app.passwords.turn().await;
    let operator = app.store.operator_by_email(email.as_str()).await?;
    check_password(
        &app,
        &request,
        &turn,
        &email,
        operator.as_ref(),
        body.value.password,
    )
    .await?;
    drop(turn);
    let operator = operator.ok_or_else(invalid_credentials)?;
    if let Some(tenant_id) = &operator.tenant_id {
        require_active(&app, tenant_id).await?;
    }
    let (session, token) = open_session(&app, &request, &operator).await?;
    answer(&app, &session, &token)
}

/// Whether `password` is the operator's, unless too many tries failed.
///
/// # Errors
///
/// 423 `account_locked`; 401 `invalid_credentials`, which counts as a failure.
pub(super) async fn check_password(
    app: &App,
    request: &RequestContext,
    turn: &Turn<'_>,
    email: &Email,
    operator: Option<&Operator>,
    password: Password,
) -> Result<(), Problem> {
    let failures = app
        .store
        .login_failures(email.as_str(), request.now - FAILURE_WINDOW)
        .await?;
    if failures.count >= MAX_FAILURES {
        let until = failures.oldest.unwrap_or(request.now) + FAILURE_WINDOW;
        return Err(
            Problem::new(ErrorCode::AccountLocked, "Too many sign-ins failed.").retry_at(until),
        );
    }
    let stored = operator.map(|operator| &operator.password);
    if turn
        .verify(password, stored)
        .await
        .map_err(Problem::internal)?
    {
        return Ok(());
    }
    let change = request.change(Actor::Anonymous);
    let operator_id = operator.map(|operator| operator.operator_id.clone());
    app.store
        .record_login_failure(change, email.as_str(), operator_id)
        .await?;
    Err(invalid_credentials())
}

fn invalid_credentials() -> Problem {
    Problem::new(
        ErrorCode::InvalidCredentials,
        "Address or password is wrong.",
    )
}

async fn open_session(
    app: &App,
    request: &RequestContext,
    operator: &Operator,
) -> Result<(Session, Zeroizing<String>), Problem> {
    let token = Zeroizing::new(URL_SAFE_NO_PAD.encode(clock::random_bytes::<32>()));
    let session = NewSession {
        session_id: SessionId::generate(request.now, &mut clock::entropy()),
        operator_id: operator.operator_id.clone(),
        password: operator.password.clone(),
        token_hash: session_token_hash(&token),
        expires_at: request.now + SESSION_LIFE,
    };
    let change = request.change(Actor::Operator(operator.operator_id.clone()));
    Ok((app.store.create_session(change, session).await?, token))
}

fn answer(app: &App, session: &Session, token: &str) -> Result<Response, Problem> {
    let body = LoginAnswer {
        session: SessionToken {
            token: token.to_owned(),
            expires_at: rfc3339(session.expires_at),
        },
        must_change_password: session.operator.must_change_password,
        mfa_required: false,
        user: UserBody::from(&session.operator),
    };
    let cookie = cookie::set(token, app.tls.is_https()).map_err(Problem::internal)?;
    Ok(with_cookie(Json(body).into_response(), cookie))
}

fn with_cookie(mut response: Response, cookie: HeaderValue) -> Response {
    response.headers_mut().append(SET_COOKIE, cookie);
    response
}

/// Ends the session that asks.
#[utoipa::path(
    post, path = "/v1/auth/logout", tag = "sign-in", security(("bearer" = [])),
    responses((status = 204, description = "Ended.")),
)]
pub(super) async fn logout(
    State(app): State<Arc<App>>,
    console: ConsoleSession,
    request: RequestContext,
) -> Result<Response, Problem> {
    let change = request.change(console.actor());
    let session = &console.session;
    app.store
        .end_session(change, &session.operator.operator_id, &session.session_id)
        .await?;
    let cookie = cookie::clear(app.tls.is_https()).map_err(Problem::internal)?;
    Ok(with_cookie(StatusCode::NO_CONTENT.into_response(), cookie))
}

/// Who is signed in.
#[utoipa::path(
    get, path = "/v1/auth/me", tag = "sign-in", security(("bearer" = [])),
    responses((status = 200, description = "The user.", body = Me)),
)]
pub(super) async fn me(console: ConsoleSession) -> Json<Me> {
    Json(Me {
        user: UserBody::from(&console.session.operator),
        csrf_token: console.csrf_token,
    })
}
