use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use identity_store::NewPassword;
use serde::Deserialize;
use utoipa::ToSchema;

use super::lock_out::{Claimant, address};
use super::login::check_password;
use super::session_token::Kept;
use crate::App;
use crate::http::{ConsoleSession, JsonBody, Problem, ProblemDocument, RequestContext};
use crate::password::Password;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordChange {
    #[schema(value_type = String)]
    current_password: Password,
    #[schema(value_type = String)]
    new_password: Password,
}

/// Changes the password and ends the user's other sessions. The answer to a session that came by its cookie
/// sets it anew.
///
/// With the tenth wrong password or code that a session shows it ends. Failed sign-ins do not count here.
#[utoipa::path(
    post, path = "/v1/auth/password", tag = "sign-in", security(("bearer" = [])),
    request_body = PasswordChange,
    responses(
        (status = 204, description = "Changed."),
        (status = 401, description = "`invalid_credentials`; `unauthorized` once the session has ended.", body = ProblemDocument),
        (status = 422, description = "`validation_failed`: the rule that the new password breaks.", body = ProblemDocument),
    ),
)]
pub(super) async fn change_password(
    State(app): State<Arc<App>>,
    console: ConsoleSession,
    request: RequestContext,
    body: JsonBody<PasswordChange>,
) -> Result<Response, Problem> {
    let PasswordChange {
        current_password,
        new_password,
    } = body.value;
    if new_password.expose() == current_password.expose() {
        return Err(Problem::invalid(
            "new_password",
            "must differ from the current one",
        ));
    }
    let operator = &console.session.operator;
    let email = address(operator)?;
    new_password
        .may_be_chosen_by(email.as_str(), &app.config.product_name)
        .map_err(|rule| Problem::invalid("new_password", rule.to_string()))?;
    let turn = app.passwords.turn().await;
    let claimant = Claimant::Session(&console);
    check_password(&app, &request, &turn, claimant, current_password).await?;
    let hash = turn.hash(new_password).await.map_err(Problem::internal)?;
    drop(turn);
    let change = request.change(console.actor());
    let kept = Kept::of(&console);
    let new = NewPassword {
        operator_id: operator.operator_id.clone(),
        verified: operator.password.clone(),
        password: hash,
        keep: kept.session.clone(),
    };
    app.store.set_password(change, new).await?;
    kept.set_in(&app, StatusCode::NO_CONTENT.into_response())
}
