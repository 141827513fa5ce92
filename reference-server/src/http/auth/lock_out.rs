//! Failed sign-ins of an address, counted whether or not anybody has it.

use identity_store::{Actor, LoginRefusal, Operator};
use time::Duration;

use crate::App;
use crate::http::{Email, ErrorCode, Problem, RequestContext};

/// So many failed sign-ins within this time lock an address.
const MAX_FAILURES: u32 = 10;
const FAILURE_WINDOW: Duration = Duration::minutes(15);

/// # Errors
///
/// 423 `account_locked`.
pub(super) async fn refuse_locked(
    app: &App,
    request: &RequestContext,
    email: &Email,
) -> Result<(), Problem> {
    let since = request.now - FAILURE_WINDOW;
    let failures = app.store.login_failures(email.as_str(), since).await?;
    if failures.count < MAX_FAILURES {
        return Ok(());
    }
    let until = failures.oldest.unwrap_or(request.now) + FAILURE_WINDOW;
    let locked = Problem::new(ErrorCode::AccountLocked, "Too many sign-ins failed.");
    Err(locked.retry_at(until))
}

/// Counts a failure of whoever says to be at `email`.
pub(super) async fn count(
    app: &App,
    request: &RequestContext,
    email: &Email,
    operator: Option<&Operator>,
    refusal: LoginRefusal,
) -> Result<(), Problem> {
    let change = request.change(Actor::Anonymous);
    let operator_id = operator.map(|operator| operator.operator_id.clone());
    let store = &app.store;
    Ok(store
        .record_login_failure(change, email.as_str(), operator_id, refusal)
        .await?)
}

/// The address under which an operator's failures are counted.
///
/// # Errors
///
/// 503 when it cannot be read.
pub(super) fn address(operator: &Operator) -> Result<Email, Problem> {
    let detail = "The account's address cannot be read: an administrator has to set it anew.";
    let unreadable = || Problem::new(ErrorCode::Unavailable, detail);
    let email = operator.email.as_deref().ok_or_else(unreadable)?;
    Email::parse(email).map_err(Problem::internal)
}
