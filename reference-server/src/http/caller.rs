//! Integrators and console users (contract §§2, 3): a credential becomes a [`Caller`], and a tenant
//! is to be had from it only for a [`Right`] that it holds.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use identity_pki::TenantId;
use identity_store::{Actor, Operator, OperatorId, Session, SessionTokenHash, TenantStatus};
use sha2::{Digest as _, Sha256};
use time::Duration;

use super::{ErrorCode, Problem, Right, cookie, csrf};
use crate::App;
use crate::tokens::AccessToken;

/// How long a session lives without being used.
pub const SESSION_IDLE: Duration = Duration::minutes(30);

/// An integrator's backend or a console user who may act: the credential is valid, the tenant is
/// active, the password need not be changed.
#[derive(Debug, Clone)]
pub struct Caller(Credential);

#[derive(Debug, Clone)]
enum Credential {
    Client(AccessToken),
    Operator(Box<ConsoleSession>),
}

impl Caller {
    /// The caller's own tenant, if the caller holds `right` there.
    ///
    /// # Errors
    ///
    /// 403 `insufficient_scope` or `forbidden`.
    pub fn tenant(&self, right: Right) -> Result<TenantId, Problem> {
        match &self.0 {
            Credential::Client(token) => {
                let scope = right.holders().scope;
                match scope.is_some_and(|scope| token.scopes.contains(&scope)) {
                    true => Ok(token.tenant_id.clone()),
                    false => Err(insufficient_scope(right)),
                }
            }
            Credential::Operator(console) => {
                let Operator {
                    role, tenant_id, ..
                } = &console.session.operator;
                match tenant_id {
                    Some(tenant_id) if right.holders().roles.contains(role) => {
                        Ok(tenant_id.clone())
                    }
                    _ => Err(forbidden()),
                }
            }
        }
    }

    /// The platform administrator, if the caller is one and holds `right`.
    ///
    /// # Errors
    ///
    /// 403 `insufficient_scope` or `forbidden`.
    pub fn platform(&self, right: Right) -> Result<OperatorId, Problem> {
        match &self.0 {
            Credential::Client(_) => Err(insufficient_scope(right)),
            Credential::Operator(console) => {
                let Operator {
                    operator_id,
                    role,
                    tenant_id,
                    ..
                } = &console.session.operator;
                let holds = tenant_id.is_none() && right.holders().roles.contains(role);
                if holds {
                    Ok(operator_id.clone())
                } else {
                    Err(forbidden())
                }
            }
        }
    }

    /// Who the audit trail says it was.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match &self.0 {
            Credential::Client(token) => Actor::Client(token.client_id.clone()),
            Credential::Operator(console) => console.actor(),
        }
    }

    /// The console session, if the caller came with one.
    ///
    /// # Errors
    ///
    /// 403 `forbidden` for an access token.
    pub fn console(&self) -> Result<&ConsoleSession, Problem> {
        match &self.0 {
            Credential::Client(_) => Err(forbidden()),
            Credential::Operator(console) => Ok(console),
        }
    }

    /// The access token, if the caller came with one.
    #[must_use]
    pub fn token(&self) -> Option<&AccessToken> {
        match &self.0 {
            Credential::Client(token) => Some(token),
            Credential::Operator(_) => None,
        }
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let credential = credential(parts, app).await?;
        match &credential {
            Credential::Operator(console) if console.session.operator.must_change_password => {
                Err(Problem::new(
                    ErrorCode::PasswordChangeRequired,
                    "Choose another password at /v1/auth/password first.",
                ))
            }
            Credential::Operator(_) | Credential::Client(_) => Ok(Self(credential)),
        }
    }
}

/// A console session, whatever its user still has to do: for the routes with which a user changes
/// the password, signs out, or asks who they are.
#[derive(Debug, Clone)]
pub struct ConsoleSession {
    /// The session.
    pub session: Session,
    /// What a write carries beside the session's cookie.
    pub csrf_token: String,
    /// What brought its token.
    pub carrier: Carrier,
}

/// What brings a session's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// The header that a program sets.
    Bearer,
    /// The cookie that a browser sends.
    Cookie,
}

impl ConsoleSession {
    /// Who the audit trail says it was.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor::Operator(self.session.operator.operator_id.clone())
    }
}

impl FromRequestParts<Arc<App>> for ConsoleSession {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        match credential(parts, app).await? {
            Credential::Operator(console) => Ok(*console),
            Credential::Client(_) => Err(forbidden()),
        }
    }
}

/// The hash under which a session's token is stored: tokens have full entropy.
#[must_use]
pub fn session_token_hash(token: &str) -> SessionTokenHash {
    SessionTokenHash(Sha256::digest(token).into())
}

/// Who calls, if their tenant is served.
async fn credential(parts: &Parts, app: &App) -> Result<Credential, Problem> {
    let credential = proven(parts, app).await?;
    let tenant_id = match &credential {
        Credential::Client(token) => Some(&token.tenant_id),
        Credential::Operator(console) => console.session.operator.tenant_id.as_ref(),
    };
    if let Some(tenant_id) = tenant_id {
        require_active(app, tenant_id).await?;
    }
    Ok(credential)
}

/// Whose credential it is. A cookie is one for a write only with its CSRF token: no route can forget to
/// ask for that.
async fn proven(parts: &Parts, app: &App) -> Result<Credential, Problem> {
    let now = app.clock.now();
    let bearer = bearer(&parts.headers)?;
    // An access token is a JWS (three parts); a session's token is one word.
    if let Some(token) = bearer.filter(|token| token.contains('.')) {
        let tokens = app.secrets.tokens.get()?;
        let token = tokens
            .verify_access(token, now)
            .map_err(|error| invalid_token().because(error))?;
        // The signature outlives its client by up to a quarter of an hour: a token that was revoked, and one
        // of a client that was deleted, because either leaked, is out at once.
        return match app.store.token_stands(&token.issued()).await? {
            true => Ok(Credential::Client(token)),
            false => Err(invalid_token()),
        };
    }
    let (carrier, token) = match bearer {
        Some(token) => (Carrier::Bearer, token),
        None => {
            let cookie = cookie::session(&parts.headers, app.tls.is_https());
            let token = cookie.ok_or_else(unauthorized)?;
            csrf::check(parts, token)?;
            (Carrier::Cookie, token)
        }
    };
    let hash = session_token_hash(token);
    let session = app
        .store
        .use_session(&hash, now, now - SESSION_IDLE)
        .await?;
    let console = ConsoleSession {
        session: session.ok_or_else(invalid_token)?,
        csrf_token: csrf::token(token)?,
        carrier,
    };
    Ok(Credential::Operator(Box::new(console)))
}

/// The token of `Authorization: Bearer` (RFC 6750 §2.1); `None` without the header.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    token.map(Some).ok_or_else(unauthorized)
}

/// # Errors
///
/// 403 `tenant_suspended`.
pub(super) async fn require_active(app: &App, tenant_id: &TenantId) -> Result<(), Problem> {
    match app
        .store
        .tenant(tenant_id)
        .await?
        .map(|tenant| tenant.status)
    {
        Some(TenantStatus::Active) => Ok(()),
        Some(TenantStatus::Suspended) => Err(tenant_suspended()),
        None => Err(unauthorized()),
    }
}

/// 403 `tenant_suspended`.
pub(super) fn tenant_suspended() -> Problem {
    Problem::new(
        ErrorCode::TenantSuspended,
        "The tenant's callers are not served at the moment.",
    )
}

fn unauthorized() -> Problem {
    Problem::new(
        ErrorCode::Unauthorized,
        "Send an access token or a session as Bearer.",
    )
    .challenge(HeaderValue::from_static("Bearer"))
}

/// 401 `unauthorized` with `invalid_token` (RFC 6750 §3.1).
pub(super) fn invalid_token() -> Problem {
    Problem::new(
        ErrorCode::Unauthorized,
        "The token is unknown, expired or ended.",
    )
    .challenge(HeaderValue::from_static("Bearer error=\"invalid_token\""))
}

fn insufficient_scope(right: Right) -> Problem {
    let Some(scope) = right.holders().scope else {
        return Problem::new(
            ErrorCode::InsufficientScope,
            "No scope allows this to a token.",
        );
    };
    let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
    let problem = Problem::new(
        ErrorCode::InsufficientScope,
        format!("This needs scope {scope}."),
    );
    match HeaderValue::try_from(challenge) {
        Ok(challenge) => problem.challenge(challenge),
        Err(_) => problem,
    }
}

fn forbidden() -> Problem {
    Problem::new(
        ErrorCode::Forbidden,
        "The caller's role does not allow this.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_bearer_token_is_read_and_nothing_else() {
        assert_eq!(bearer(&HeaderMap::new()).ok(), Some(None));
        assert_eq!(bearer(&headers("Bearer abc")).ok(), Some(Some("abc")));
        assert_eq!(bearer(&headers("bearer abc")).ok(), Some(Some("abc")));
        for other in ["Basic YTpi", "Bearer", "abc"] {
            let problem = bearer(&headers(other)).expect_err(other);
            assert_eq!(problem.code(), ErrorCode::Unauthorized);
        }
    }
}
