//! Wrong passwords and codes: where they count, and what they stop.

use identity_store::{Actor, Entity, Error, LoginRefusal, Operator};
use time::Duration;

use crate::App;
use crate::http::{ConsoleSession, Email, ErrorCode, Problem, RequestContext, invalid_token};

/// So many failed sign-ins within this time lock an address.
const MAX_FAILURES: u32 = 10;
const FAILURE_WINDOW: Duration = Duration::minutes(15);

/// Who shows a password or a code.
#[derive(Clone, Copy)]
pub(super) enum Claimant<'a> {
    /// Whoever says to be at an address. Failures lock it, whether or not anybody has it.
    Address {
        email: &'a Email,
        operator: Option<&'a Operator>,
    },
    /// A session of whom it says to be. It ends with the last failure that it has; those of strangers
    /// under the address do not keep its user from the account.
    Session(&'a ConsoleSession),
}

impl<'a> Claimant<'a> {
    /// Whom it claims to be, if there is such a one.
    pub(super) fn operator(self) -> Option<&'a Operator> {
        match self {
            Self::Address { operator, .. } => operator,
            Self::Session(console) => Some(&console.session.operator),
        }
    }

    /// # Errors
    ///
    /// 423 `account_locked` for an address; 401 `unauthorized` for a session that ended meanwhile.
    pub(super) async fn refuse_locked(
        self,
        app: &App,
        request: &RequestContext,
    ) -> Result<(), Problem> {
        match self {
            Self::Address { email, .. } => refuse_locked(app, request, email).await,
            Self::Session(console) => refuse_ended(app, request, console).await,
        }
    }

    /// Counts a failure.
    pub(super) async fn count(
        self,
        app: &App,
        request: &RequestContext,
        refusal: LoginRefusal,
    ) -> Result<(), Problem> {
        let store = &app.store;
        match self {
            Self::Address { email, operator } => {
                let change = request.change(Actor::Anonymous);
                let operator_id = operator.map(|operator| operator.operator_id.clone());
                let noted =
                    store.record_login_failure(change, email.as_str(), operator_id, refusal);
                Ok(noted.await?)
            }
            Self::Session(console) => {
                let change = request.change(console.actor());
                let session = &console.session;
                let (operator_id, session_id) =
                    (&session.operator.operator_id, &session.session_id);
                let noted = store
                    .record_reauthentication_failure(change, operator_id, session_id, refusal)
                    .await;
                match noted {
                    Err(Error::NotFound(Entity::Session)) => Err(invalid_token()),
                    noted => Ok(noted?),
                }
            }
        }
    }
}

async fn refuse_locked(app: &App, request: &RequestContext, email: &Email) -> Result<(), Problem> {
    let since = request.now - FAILURE_WINDOW;
    let failures = app.store.login_failures(email.as_str(), since).await?;
    if failures.count < MAX_FAILURES {
        return Ok(());
    }
    let until = failures.oldest.unwrap_or(request.now) + FAILURE_WINDOW;
    let locked = Problem::new(ErrorCode::AccountLocked, "Too many sign-ins failed.");
    Err(locked.retry_at(until))
}

/// The session was there when its request came, and other requests may have ended it since.
async fn refuse_ended(
    app: &App,
    request: &RequestContext,
    console: &ConsoleSession,
) -> Result<(), Problem> {
    let session = &console.session;
    let open = app
        .store
        .sessions(&session.operator.operator_id, request.now)
        .await?;
    match open.iter().any(|it| it.session_id == session.session_id) {
        true => Ok(()),
        false => Err(invalid_token()),
    }
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
