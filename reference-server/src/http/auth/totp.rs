use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use identity_store::{
    ConfirmTotp, Conflict, Entity, Error, NewTotp, RemoveTotp, SecretBytes, TotpId,
};
use serde::{Deserialize, Serialize};
use time::Duration;
use utoipa::ToSchema;

use super::lock_out::{Claimant, address};
use super::login::check_password;
use super::mfa::{Code, code_invalid, unreadable_secret, with_code};
use super::session_token::Kept;
use crate::http::{
    Caller, ConsoleSession, ErrorCode, JsonBody, Problem, ProblemDocument, RequestContext,
};
use crate::one_time_code::{base32, new_secret, otpauth_uri, recovery_codes};
use crate::password::Password;
use crate::{App, clock};

/// So long after a session was opened its user need not show the password again.
const RECENT: Duration = Duration::minutes(10);

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TotpRequest {
    /// Asked for when the session was opened more than ten minutes ago.
    #[schema(value_type = Option<String>)]
    current_password: Option<Password>,
}

#[derive(Serialize, ToSchema)]
struct TotpSecret {
    /// Base32, as people type it into an authenticator.
    secret: String,
    /// The same and its circumstances, for a QR code.
    otpauth_uri: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TotpConfirmation {
    /// Six digits of the authenticator.
    #[schema(value_type = String, example = "287082")]
    code: Code,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TotpRemoval {
    /// Six digits of the authenticator, or a recovery code.
    #[schema(value_type = String, example = "287082")]
    code: Code,
}

#[derive(Serialize, ToSchema)]
struct RecoveryCodes {
    /// Each stands in for a one-time code, once. Shown this once.
    recovery_codes: Vec<String>,
}

/// Gives the user who asks a secret for an authenticator. Sign-ins ask for its codes once it is confirmed.
///
/// A stolen session alone gets none: more than ten minutes after the sign-in the password is asked for
/// again. With the tenth wrong password or code that a session shows it ends.
#[utoipa::path(
    post, path = "/v1/auth/mfa/totp", tag = "sign-in", security(("bearer" = [])),
    request_body = TotpRequest,
    responses(
        (status = 200, description = "The secret, shown this once.", body = TotpSecret),
        (status = 401, description = "`invalid_credentials`; `unauthorized` once the session has ended.", body = ProblemDocument),
        (status = 403, description = "`reauthentication_required`", body = ProblemDocument),
        (status = 409, description = "`conflict`: codes are in use already.", body = ProblemDocument),
    ),
)]
pub(super) async fn issue(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: RequestContext,
    body: JsonBody<TotpRequest>,
) -> Result<Response, Problem> {
    let console = caller.console()?;
    show_password(&app, &request, console, body.value.current_password).await?;
    let operator = &console.session.operator;
    let (secret, issuer) = (new_secret(), &app.config.product_name);
    let uri = otpauth_uri(issuer, &*secret, address(operator)?.as_str());
    let uri = uri.map_err(Problem::internal)?;
    let new = NewTotp {
        totp_id: TotpId::generate(request.now, &mut clock::entropy()),
        operator_id: operator.operator_id.clone(),
        secret: SecretBytes::new(secret.to_vec()),
    };
    let change = request.change(caller.actor());
    app.store.issue_totp(change, new).await?;
    let answer = TotpSecret {
        secret: base32(&*secret).to_string(),
        otpauth_uri: uri.to_string(),
    };
    Ok(Json(answer).into_response())
}

/// Asks whoever has the session for its user's password, unless the sign-in was just now.
///
/// # Errors
///
/// 403 `reauthentication_required` without the password; those of [`check_password`].
async fn show_password(
    app: &App,
    request: &RequestContext,
    console: &ConsoleSession,
    password: Option<Password>,
) -> Result<(), Problem> {
    let Some(password) = password else {
        let is_recent = request.now - console.session.created_at <= RECENT;
        let detail = "The sign-in was more than ten minutes ago: send your current_password, or \
                      sign in again.";
        let required = || Problem::new(ErrorCode::ReauthenticationRequired, detail);
        return is_recent.then_some(()).ok_or_else(required);
    };
    let turn = app.passwords.turn().await;
    let claimant = Claimant::Session(console);
    check_password(app, request, &turn, claimant, password).await
}

/// Has the sign-ins of the user who asks ask for a code, now that the authenticator shows them.
///
/// The user's other sessions end. The answer to one that came by its cookie sets it anew.
#[utoipa::path(
    post, path = "/v1/auth/mfa/totp/confirm", tag = "sign-in", security(("bearer" = [])),
    request_body = TotpConfirmation,
    responses(
        (status = 200, description = "The recovery codes.", body = RecoveryCodes),
        (status = 401, description = "`mfa_code_invalid`", body = ProblemDocument),
        (status = 404, description = "`not_found`: there is no secret to confirm.", body = ProblemDocument),
        (status = 409, description = "`conflict`: codes are in use already.", body = ProblemDocument),
    ),
)]
pub(super) async fn confirm(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: RequestContext,
    body: JsonBody<TotpConfirmation>,
) -> Result<Response, Problem> {
    let console = caller.console()?;
    let operator_id = &console.session.operator.operator_id;
    let totp = app.store.totp(operator_id).await?;
    let totp = totp.ok_or(Error::NotFound(Entity::Totp))?;
    // Before the code is looked at, or its guesses would be answered here without being counted.
    if totp.confirmed {
        return Err(Error::Conflict(Conflict::TotpConfirmed).into());
    }
    let secret = totp.secret.as_ref().ok_or_else(unreadable_secret)?;
    let step = body.value.code.step(secret, &request)?;
    let kept = Kept::of(console);
    let (shown, hashes) = recovery_codes().into_iter().unzip();
    let confirm = ConfirmTotp {
        operator_id: operator_id.clone(),
        totp_id: totp.totp_id,
        step: step.ok_or_else(code_invalid)?,
        recovery_codes: hashes,
        keep: kept.session.clone(),
    };
    let change = request.change(caller.actor());
    app.store.confirm_totp(change, confirm).await?;
    let answer = RecoveryCodes {
        recovery_codes: shown,
    };
    kept.set_in(&app, Json(answer).into_response())
}

/// Takes one-time codes and recovery codes from the user who asks and shows one: sign-ins ask for the
/// password alone from then on.
///
/// The user's other sessions end. The answer to one that came by its cookie sets it anew. With the tenth
/// wrong password or code that a session shows it ends.
#[utoipa::path(
    post, path = "/v1/auth/mfa/totp/remove", tag = "sign-in", security(("bearer" = [])),
    request_body = TotpRemoval,
    responses(
        (status = 204, description = "Removed."),
        (status = 401, description = "`mfa_code_invalid`; `unauthorized` once the session has ended.", body = ProblemDocument),
        (status = 404, description = "`not_found`: there are none.", body = ProblemDocument),
        (status = 423, description = "`mfa_locked`", body = ProblemDocument),
    ),
)]
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: RequestContext,
    body: JsonBody<TotpRemoval>,
) -> Result<Response, Problem> {
    let console = caller.console()?;
    let operator = &console.session.operator;
    let none = || Problem::from(Error::NotFound(Entity::Totp));
    if app.store.totp(&operator.operator_id).await?.is_none() {
        return Err(none());
    }
    let kept = Kept::of(console);
    let change = request.change(caller.actor());
    let remove = async |shown| {
        let remove = RemoveTotp {
            operator_id: operator.operator_id.clone(),
            shown: Some(shown),
            keep: Some(kept.session.clone()),
        };
        app.store.remove_totp(change, remove).await
    };
    let claimant = Claimant::Session(console);
    let removed = with_code(&app, &request, claimant, &body.value.code, remove).await?;
    removed.ok_or_else(none)?;
    kept.set_in(&app, StatusCode::NO_CONTENT.into_response())
}
