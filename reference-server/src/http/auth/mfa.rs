use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use identity_store::{
    Actor, Conflict, Error, LoginRefusal, NewSignIn, Operator, Result as Stored, SecondFactor,
    SecretBytes, SignInTokenHash,
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use time::Duration;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::lock_out::{Claimant, address};
use super::login::{LoginAnswer, new_session, opened, take_turn};
use crate::http::caller::require_active;
use crate::http::{ErrorCode, JsonBody, Problem, ProblemDocument, RequestContext, csrf};
use crate::one_time_code::{TypedCode, step_of};
use crate::{App, clock};

/// How long a sign-in waits for its code.
const SIGN_IN_WAITS: Duration = Duration::minutes(5);

/// A code as somebody typed it.
#[derive(Debug, Deserialize)]
#[serde(from = "String")]
pub(super) struct Code(TypedCode);

impl From<String> for Code {
    fn from(typed: String) -> Self {
        Self(TypedCode::new(&Zeroizing::new(typed)))
    }
}

impl Code {
    /// The time step that it is of, if it is a code of `secret`.
    pub(super) fn step(
        &self,
        secret: &SecretBytes,
        request: &RequestContext,
    ) -> Result<Option<i64>, Problem> {
        match &self.0 {
            TypedCode::OneTime(code) => {
                step_of(code, secret.expose(), request.now).map_err(Problem::internal)
            }
            TypedCode::Recovery(_) => Ok(None),
        }
    }
}

/// The token of a sign-in, by which it is found.
#[derive(Deserialize)]
#[serde(from = "String")]
struct MfaToken(SignInTokenHash);

impl From<String> for MfaToken {
    fn from(token: String) -> Self {
        Self(sign_in_token_hash(&Zeroizing::new(token)))
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MfaRequest {
    #[schema(value_type = String)]
    mfa_token: MfaToken,
    /// Six digits of the authenticator, or a recovery code.
    #[schema(value_type = String, example = "287082")]
    code: Code,
}

/// Completes a sign-in with a one-time code or a recovery code.
///
/// Each code is good once. A wrong one counts as a failed sign-in of the address; the `mfa_token` goes on
/// waiting, five minutes in all. After 100 wrong ones in a row a recovery code alone is good.
#[utoipa::path(
    post, path = "/v1/auth/mfa", tag = "sign-in",
    request_body = MfaRequest,
    responses(
        (status = 200, description = "The session, also set as a cookie.", body = LoginAnswer),
        (status = 401, description = "`mfa_token_invalid`, `mfa_code_invalid`", body = ProblemDocument),
        (status = 403, description = "`cross_site_request`, `tenant_suspended`", body = ProblemDocument),
        (status = 423, description = "`account_locked`, `mfa_locked`", body = ProblemDocument),
        (status = 429, description = "`rate_limited`", body = ProblemDocument),
    ),
)]
pub(super) async fn complete(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    request: RequestContext,
    body: JsonBody<MfaRequest>,
) -> Result<Response, Problem> {
    csrf::refuse_other_sites(&headers)?;
    take_turn(&app, &request).await?;
    let MfaToken(token) = body.value.mfa_token;
    let operator = app.store.sign_in(&token, request.now).await?;
    let operator = operator.ok_or_else(token_invalid)?;
    if let Some(tenant_id) = &operator.tenant_id {
        require_active(&app, tenant_id).await?;
    }
    let (session, session_token) = new_session(&request, &operator);
    let change = request.change(Actor::Operator(operator.operator_id.clone()));
    let complete = async |shown| {
        let store = &app.store;
        store.complete_sign_in(change, &token, shown, session).await
    };
    let email = address(&operator)?;
    let claimant = Claimant::Address {
        email: &email,
        operator: Some(&operator),
    };
    let session = with_code(&app, &request, claimant, &body.value.code, complete).await?;
    let session = session.ok_or_else(token_invalid)?;
    opened(&app, &session, &session_token)
}

/// Has a sign-in whose password was right wait for its code; returns its token.
pub(super) async fn begin(
    app: &App,
    request: &RequestContext,
    operator: &Operator,
) -> Result<Zeroizing<String>, Problem> {
    let token = Zeroizing::new(URL_SAFE_NO_PAD.encode(clock::random_bytes::<32>()));
    let sign_in = NewSignIn {
        operator_id: operator.operator_id.clone(),
        password: operator.password.clone(),
        token_hash: sign_in_token_hash(&token),
        expires_at: request.now + SIGN_IN_WAITS,
    };
    let change = request.change(Actor::Operator(operator.operator_id.clone()));
    app.store.begin_sign_in(change, sign_in).await?;
    Ok(token)
}

/// Makes the change that rests on a code of the claimant's; `None` if what it is about is gone meanwhile.
///
/// # Errors
///
/// Those of [`Claimant::refuse_locked`]; 423 `mfa_locked`; 401 `mfa_code_invalid`, which counts as a failure.
pub(super) async fn with_code<T>(
    app: &App,
    request: &RequestContext,
    claimant: Claimant<'_>,
    code: &Code,
    change: impl AsyncFnOnce(SecondFactor) -> Stored<T>,
) -> Result<Option<T>, Problem> {
    // As with passwords: guesses cannot all run at once.
    let turn = app.passwords.turn().await;
    claimant.refuse_locked(app, request).await?;
    let done = match shown(app, request, claimant, code).await? {
        Some(shown) => change(shown).await,
        None => Err(Error::Conflict(Conflict::CodeRefused)),
    };
    let done = match done {
        Ok(done) => Ok(Some(done)),
        Err(Error::NotFound(_)) => Ok(None),
        Err(Error::Conflict(Conflict::CodeRefused)) => {
            claimant.count(app, request, LoginRefusal::Code).await?;
            Err(code_invalid())
        }
        Err(error) => Err(error.into()),
    };
    drop(turn);
    done
}

/// What `code` shows; `None` if it is no code of the user's at all.
async fn shown(
    app: &App,
    request: &RequestContext,
    claimant: Claimant<'_>,
    code: &Code,
) -> Result<Option<SecondFactor>, Problem> {
    if let TypedCode::Recovery(hash) = &code.0 {
        return Ok(Some(SecondFactor::RecoveryCode(*hash)));
    }
    let Some(operator) = claimant.operator() else {
        return Ok(None);
    };
    let Some(totp) = app.store.totp(&operator.operator_id).await? else {
        return Ok(None);
    };
    if totp.locked {
        return Err(locked());
    }
    let secret = totp.secret.as_ref().ok_or_else(unreadable_secret)?;
    let step = code.step(secret, request)?;
    let totp_id = totp.totp_id;
    Ok(step.map(|step| SecondFactor::Totp { totp_id, step }))
}

/// The hash under which the token of a sign-in is stored: tokens have full entropy.
fn sign_in_token_hash(token: &str) -> SignInTokenHash {
    SignInTokenHash(Sha256::digest(token).into())
}

fn token_invalid() -> Problem {
    Problem::new(
        ErrorCode::MfaTokenInvalid,
        "The sign-in waits no longer for a code: begin again at /v1/auth/login.",
    )
}

pub(super) fn code_invalid() -> Problem {
    Problem::new(
        ErrorCode::MfaCodeInvalid,
        "The code is wrong, expired or used: wait for the next one, or use a recovery code.",
    )
}

fn locked() -> Problem {
    let detail = "Too many codes in a row were wrong: use a recovery code, or ask an administrator \
                  to take the one-time codes away.";
    Problem::new(ErrorCode::MfaLocked, detail)
}

pub(super) fn unreadable_secret() -> Problem {
    let detail = "The secret of the one-time codes cannot be read: use a recovery code.";
    Problem::new(ErrorCode::Unavailable, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_not_shown() {
        let code = Code::from("287082".to_owned());
        assert_eq!(format!("{code:?}"), "Code(TypedCode(..))");
    }
}
