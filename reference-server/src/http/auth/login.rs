use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use identity_store::{
    Actor, Conflict, Error, LoginRefusal, NewSession, Operator, Session, SessionId, rfc3339,
};
use serde::{Deserialize, Serialize};
use time::Duration;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::lock_out::Claimant;
use super::{UserBody, mfa, session_token};
use crate::http::caller::require_active;
use crate::http::{
    ConsoleSession, Email, ErrorCode, JsonBody, Problem, ProblemDocument, RequestContext, Source,
    csrf, session_token_hash,
};
use crate::password::{Password, Turn};
use crate::{App, clock};

/// How long a session lives at most.
const SESSION_LIFE: Duration = Duration::hours(12);

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginRequest {
    #[schema(example = "root@example.com")]
    email: String,
    #[schema(value_type = String)]
    password: Password,
}

#[derive(Serialize, ToSchema)]
pub(super) struct LoginAnswer {
    /// Absent while a code is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SessionToken>,
    must_change_password: bool,
    /// Whether the sign-in has to be completed at /v1/auth/mfa.
    mfa_required: bool,
    /// Names the sign-in that waits for a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    mfa_token: Option<String>,
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
    /// Whether the user's sign-ins ask for a code.
    mfa_enabled: bool,
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
        (status = 200, description = "The session, also set as a cookie, or a token to complete the sign-in with.", body = LoginAnswer),
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
    take_turn(&app, &request).await?;
    let email = Email::parse(&body.value.email)
        .map_err(|error| Problem::invalid("email", error.to_string()))?;
    // The count is read, and a failure noted, within the turn: guesses cannot all run at once.
    let turn = app.passwords.turn().await;
    let operator = app.store.operator_by_email(email.as_str()).await?;
    let claimant = Claimant::Address {
        email: &email,
        operator: operator.as_ref(),
    };
    check_password(&app, &request, &turn, claimant, body.value.password).await?;
    drop(turn);
    let operator = operator.ok_or_else(invalid_credentials)?;
    if let Some(tenant_id) = &operator.tenant_id {
        require_active(&app, tenant_id).await?;
    }
    let (session, token) = new_session(&request, &operator);
    let change = request.change(Actor::Operator(operator.operator_id.clone()));
    match app.store.create_session(change, session).await {
        Err(Error::Conflict(Conflict::CodeRequired)) => {
            let token = mfa::begin(&app, &request, &operator).await?;
            Ok(Json(LoginAnswer::waits(&operator, &token)).into_response())
        }
        session => opened(&app, &session?, &token),
    }
}

impl LoginAnswer {
    fn waits(operator: &Operator, token: &str) -> Self {
        Self {
            session: None,
            must_change_password: operator.must_change_password,
            mfa_required: true,
            mfa_token: Some(token.to_owned()),
            user: UserBody::from(operator),
        }
    }

    fn opened(session: &Session, token: &str) -> Self {
        Self {
            session: Some(SessionToken {
                token: token.to_owned(),
                expires_at: rfc3339(session.expires_at),
            }),
            must_change_password: session.operator.must_change_password,
            mfa_required: false,
            mfa_token: None,
            user: UserBody::from(&session.operator),
        }
    }
}

/// Limits how often a source tries to sign in.
///
/// # Errors
///
/// 429 `rate_limited`.
pub(super) async fn take_turn(app: &App, request: &RequestContext) -> Result<(), Problem> {
    let source = Source::from(request.source);
    let limit = &app.rate_limits.sign_in;
    let taken = limit.take(app.shared_store(), source, request.now).await;
    taken.map_err(|refusal| {
        refusal.problem(
            ErrorCode::RateLimited,
            "Too many sign-ins from this address.",
        )
    })
}

/// Whether `password` is the claimant's, unless too many tries failed.
///
/// # Errors
///
/// Those of [`Claimant::refuse_locked`]; 401 `invalid_credentials`, which counts as a failure.
pub(super) async fn check_password(
    app: &App,
    request: &RequestContext,
    turn: &Turn<'_>,
    claimant: Claimant<'_>,
    password: Password,
) -> Result<(), Problem> {
    claimant.refuse_locked(app, request).await?;
    let stored = claimant.operator().map(|operator| &operator.password);
    if turn
        .verify(password, stored)
        .await
        .map_err(Problem::internal)?
    {
        return Ok(());
    }
    claimant
        .count(app, request, LoginRefusal::Credentials)
        .await?;
    Err(invalid_credentials())
}

fn invalid_credentials() -> Problem {
    Problem::new(
        ErrorCode::InvalidCredentials,
        "Address or password is wrong.",
    )
}

/// A session to open for an operator, and its token.
pub(super) fn new_session(
    request: &RequestContext,
    operator: &Operator,
) -> (NewSession, Zeroizing<String>) {
    let token = session_token::draw();
    let session = NewSession {
        session_id: SessionId::generate(request.now, &mut clock::entropy()),
        operator_id: operator.operator_id.clone(),
        password: operator.password.clone(),
        token_hash: session_token_hash(&token),
        expires_at: request.now + SESSION_LIFE,
    };
    (session, token)
}

/// The answer that a session was opened.
pub(super) fn opened(app: &App, session: &Session, token: &str) -> Result<Response, Problem> {
    let answer = Json(LoginAnswer::opened(session, token)).into_response();
    session_token::with_cookie(app, answer, token)
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
    session_token::without_cookie(&app, StatusCode::NO_CONTENT.into_response())
}

/// Who is signed in.
#[utoipa::path(
    get, path = "/v1/auth/me", tag = "sign-in", security(("bearer" = [])),
    responses((status = 200, description = "The user.", body = Me)),
)]
pub(super) async fn me(
    State(app): State<Arc<App>>,
    console: ConsoleSession,
) -> Result<Json<Me>, Problem> {
    let operator = &console.session.operator;
    let totp = app.store.totp(&operator.operator_id).await?;
    Ok(Json(Me {
        user: UserBody::from(operator),
        mfa_enabled: totp.is_some_and(|totp| totp.confirmed),
        csrf_token: console.csrf_token,
    }))
}
