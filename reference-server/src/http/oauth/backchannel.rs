//! Authentication requests of clients (CIBA Core 1.0): a palm at a scanner answers them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::CACHE_CONTROL;
use identity_challenge::{AdmissionRefusal, ChallengeKind, Ttl};
use identity_store::{
    AUTH_POLL_INTERVAL, Actor, AuthRequestAnswer, AuthRequestSha256, Error, OAuthClient,
    SecretBytes, StoredChallenge,
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::client_auth::{Counted, authenticated};
use super::error::{OAuthError, OAuthErrorCode, TokenRefusal};
use super::form::Form;
use super::id_token::{ID_TOKEN_TYPE, IdTokenClaims};
use super::token::TokenAnswer;
use crate::auth_notification::AuthNotification;
use crate::http::challenges::{SmallObject, Wanted, settings};
use crate::http::text::Line;
use crate::http::{Problem, ProblemDocument, RequestContext, Right, Scope};
use crate::tokens::Tokens;
use crate::{App, clock};

const PARAMETERS: [&str; 9] = [
    "scope",
    "login_hint",
    "login_hint_token",
    "id_token_hint",
    "device_id",
    "binding_message",
    "requested_expiry",
    "client_notification_token",
    "request",
];

/// The form of an authentication request, for the description of the interface.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that is read")]
pub(super) struct AuthenticationRequest {
    #[schema(example = "openid")]
    scope: String,
    /// The user's id.
    login_hint: String,
    /// The scanner at which the user is asked for their palm.
    device_id: String,
    /// What the scanner shows, so that the user knows what they agree to; at most 128 characters.
    binding_message: Option<String>,
    /// For how many seconds the user is asked: at least 15 and at most 600, whatever is requested; the
    /// tenant's setting by default.
    requested_expiry: Option<u32>,
    /// Of a client with a `backchannel_client_notification_endpoint`, which has to send one: what it is told
    /// with as Bearer. At most 1024 characters.
    client_notification_token: Option<String>,
    /// Instead of HTTP Basic.
    client_id: Option<String>,
    /// Instead of HTTP Basic.
    client_secret: Option<String>,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`, with `client_assertion`.
    client_assertion_type: Option<String>,
    /// As at the token endpoint.
    client_assertion: Option<String>,
}

/// An authentication request that was accepted (CIBA Core 1.0 §7.3).
#[derive(Serialize, ToSchema)]
pub(super) struct AcknowledgedRequest {
    /// What the client polls with at the token endpoint.
    auth_req_id: String,
    #[schema(example = 120)]
    expires_in: u32,
    /// How many seconds are to pass between polls.
    #[schema(example = 5)]
    interval: i64,
}

/// Asks a user for their palm at a device, and answers what the client polls the token endpoint with. The
/// client authenticates as there, and has the scope `challenges.write`; the device shows the client's name.
#[utoipa::path(post, path = "/v1/bc-authorize", tag = "oauth",
    request_body(content = AuthenticationRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "OpenID CIBA Core 1.0 §7.3", body = AcknowledgedRequest),
        (status = 400, description = "OpenID CIBA Core 1.0 §13; `unknown_user_id`, `invalid_binding_message`",
            body = OAuthError),
        (status = 401, description = "`invalid_client`", body = OAuthError),
        (status = 403, description = "`access_denied`: the user cannot be asked", body = OAuthError),
        (status = 429, description = "`rate_limited`", body = ProblemDocument),
    )
)]
pub(super) async fn authorize(
    State(app): State<Arc<App>>,
    context: RequestContext,
    request: Request,
) -> Result<Response, TokenRefusal> {
    let counted = Counted::Failures;
    let (client, mut form) = authenticated(&app, &context, request, &PARAMETERS, counted).await?;
    require_right(&client)?;
    let auth_req_id = URL_SAFE_NO_PAD.encode(clock::random_bytes::<32>());
    let notification = notification(&mut form, &client, &auth_req_id)?;
    let wanted = wanted(form, &client)?;
    let config = settings(&app, &client.tenant_id).await?;
    let actor = Actor::Client(client.client_id.clone());
    let new = wanted.under(
        &config,
        client.tenant_id,
        Some(client.client_id),
        context.now,
    );
    let expires_in = new.ttl.unwrap_or(config.challenge_ttl_seconds).seconds();
    app.store
        .create_auth_request(
            context.change(actor),
            new,
            digest(&auth_req_id),
            notification,
        )
        .await
        .map_err(refused)?;
    let answer = AcknowledgedRequest {
        auth_req_id,
        expires_in,
        interval: AUTH_POLL_INTERVAL.whole_seconds(),
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// What a client in ping mode is to be told with.
fn notification(
    form: &mut Form,
    client: &OAuthClient,
    auth_req_id: &str,
) -> Result<Option<SecretBytes>, TokenRefusal> {
    let token = form.take("client_notification_token");
    let Some(endpoint) = &client.notification_endpoint else {
        return Ok(None);
    };
    let token = token.filter(|token| is_bearer_token(token));
    let token = token.ok_or(OAuthError::new(
        OAuthErrorCode::InvalidRequest,
        "client_notification_token is to be a Bearer token of at most 1024 characters",
    ))?;
    let notification = AuthNotification {
        endpoint: endpoint.clone(),
        auth_req_id: auth_req_id.to_owned(),
        token: token.to_string(),
    };
    Ok(Some(notification.to_bytes().map_err(Problem::internal)?))
}

/// Whether a text can be sent as Bearer (RFC 6750 §2.1), and is not too long (CIBA Core 1.0 §7.1).
fn is_bearer_token(text: &str) -> bool {
    let is_of_one = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    let start = text.trim_end_matches('=');
    text.len() <= 1024 && !start.is_empty() && start.bytes().all(is_of_one)
}

/// What the store knows a request by.
fn digest(auth_req_id: &str) -> AuthRequestSha256 {
    AuthRequestSha256(Sha256::digest(auth_req_id).into())
}

fn require_right(client: &OAuthClient) -> Result<(), OAuthError> {
    let scope = Right::ChallengesWrite.holders().scope;
    match scope.is_some_and(|scope| client.scopes.contains(scope.as_str())) {
        true => Ok(()),
        false => {
            let description = "the client does not have the scope challenges.write";
            let code = OAuthErrorCode::UnauthorizedClient;
            Err(OAuthError::new(code, description))
        }
    }
}

/// The challenge that a request asks for.
fn wanted(mut form: Form, client: &OAuthClient) -> Result<Wanted, OAuthError> {
    let invalid = |description| OAuthError::new(OAuthErrorCode::InvalidRequest, description);
    if form.take("request").is_some() {
        return Err(invalid("signed requests are not taken"));
    }
    let scope = form.take("scope").ok_or(invalid("scope is missing"))?;
    if *scope != Scope::OpenId.as_str() {
        let code = OAuthErrorCode::InvalidScope;
        return Err(OAuthError::new(code, "the scope is openid and no other"));
    }
    let others = ["login_hint_token", "id_token_hint"].map(|name| form.take(name));
    let hint = form.take("login_hint").filter(|_| others == [None, None]);
    let hint = hint.ok_or(invalid("the one hint is login_hint: the id of the user"))?;
    let unknown = OAuthError::new(OAuthErrorCode::UnknownUserId, UNKNOWN_USER);
    let device_id = form.take("device_id");
    let device_id = device_id.ok_or(invalid("device_id is missing"))?;
    Ok(Wanted {
        kind: ChallengeKind::Verify,
        user_id: hint.parse().map_err(|_| unknown)?,
        device_id: device_id.parse().map_err(|_| invalid(UNKNOWN_DEVICE))?,
        context: client.name.clone(),
        metadata: SmallObject::default(),
        display: None,
        binding_message: form
            .take("binding_message")
            .map(binding_message)
            .transpose()?,
        client_reference: None,
        ttl: form
            .take("requested_expiry")
            .map(|seconds| requested_expiry(&seconds))
            .transpose()?,
        max_attempts: None,
    })
}

const UNKNOWN_USER: &str = "login_hint is the id of no user of the tenant";
const UNKNOWN_DEVICE: &str = "device_id is the id of no device of the tenant";

fn binding_message(text: Zeroizing<String>) -> Result<String, OAuthError> {
    match Line::<128>::try_from(text.to_string()) {
        Ok(line) => Ok(line.into_string()),
        Err(_) => Err(OAuthError::new(
            OAuthErrorCode::InvalidBindingMessage,
            "binding_message is to be 1 to 128 characters on one line, without white space around them",
        )),
    }
}

/// The lifetime nearest to the one requested (CIBA Core 1.0 §7.1 leaves it to the server).
fn requested_expiry(seconds: &str) -> Result<Ttl, OAuthError> {
    let is_positive = |seconds: &u64| *seconds > 0;
    let seconds = seconds.parse::<u64>().ok().filter(is_positive);
    let ttl = seconds.and_then(|seconds| {
        let bounds = (Ttl::MIN_SECONDS.into(), Ttl::MAX_SECONDS.into());
        let nearest = u32::try_from(seconds.clamp(bounds.0, bounds.1));
        nearest.ok().and_then(|seconds| Ttl::new(seconds).ok())
    });
    ttl.ok_or_else(|| {
        let description = "requested_expiry is to be a positive number of seconds";
        OAuthError::new(OAuthErrorCode::InvalidRequest, description)
    })
}

/// Why a challenge is not created, in CIBA's words.
fn refused(error: Error) -> TokenRefusal {
    let Error::Admission(refusal) = error else {
        return error.into();
    };
    let invalid = |description| OAuthError::new(OAuthErrorCode::InvalidRequest, description);
    let refusal = match refusal {
        AdmissionRefusal::UserNotFound => {
            OAuthError::new(OAuthErrorCode::UnknownUserId, UNKNOWN_USER)
        }
        AdmissionRefusal::DeviceNotFound => invalid(UNKNOWN_DEVICE),
        AdmissionRefusal::DeviceNotPaired => invalid("the device is not paired"),
        AdmissionRefusal::DeviceClassNotAllowed { .. } => {
            invalid("devices of that class take no challenges")
        }
        AdmissionRefusal::UserSuspended => OAuthError::forbidden("the user is suspended"),
        AdmissionRefusal::UserLocked => {
            OAuthError::forbidden("the user is locked after too many failed tries")
        }
        AdmissionRefusal::UserNotEnrolled => OAuthError::forbidden("the user has no palm enrolled"),
        AdmissionRefusal::PalmTypeRestricted => {
            OAuthError::forbidden("the user's palm policy allows none of the enrolled palms")
        }
        AdmissionRefusal::UserThrottled { .. } => {
            OAuthError::forbidden("the user has to wait after failed tries")
        }
        AdmissionRefusal::DeviceBusy { .. } => {
            OAuthError::forbidden("as many challenges are open at the device as the tenant allows")
        }
        other => return Error::Admission(other).into(),
    };
    refusal.into()
}

/// Answers a client that polls for the tokens of a request (CIBA Core 1.0 §§10.1, 11).
pub(super) async fn poll(
    app: &App,
    context: &RequestContext,
    client: &OAuthClient,
    mut form: Form,
) -> Result<TokenAnswer, TokenRefusal> {
    let auth_req_id = form.take("auth_req_id").ok_or(OAuthError::new(
        OAuthErrorCode::InvalidRequest,
        "auth_req_id is missing",
    ))?;
    // A grant is used up when the store has told of it: without a key there is none.
    let tokens = app.secrets.tokens.get()?;
    let change = context.change(Actor::Client(client.client_id.clone()));
    let answer = app
        .store
        .poll_auth_request(
            change,
            &client.tenant_id,
            &client.client_id,
            digest(&auth_req_id),
        )
        .await?;
    let (code, description) = match answer {
        AuthRequestAnswer::Granted(record) => {
            let answer = granted(tokens, client, &record, &auth_req_id, context.now);
            return Ok(answer.map_err(Problem::internal)?);
        }
        AuthRequestAnswer::Unknown => (
            OAuthErrorCode::InvalidGrant,
            "auth_req_id is none of the client's, or was used",
        ),
        AuthRequestAnswer::Pending => (
            OAuthErrorCode::AuthorizationPending,
            "the user is being asked for their palm",
        ),
        AuthRequestAnswer::SlowDown => (
            OAuthErrorCode::SlowDown,
            "the user is being asked: poll five seconds less often than before",
        ),
        AuthRequestAnswer::Expired => (OAuthErrorCode::ExpiredToken, "auth_req_id expired"),
        AuthRequestAnswer::Denied => (
            OAuthErrorCode::AccessDenied,
            "the user was not authenticated, and is not asked any more",
        ),
    };
    Err(OAuthError::new(code, description).into())
}

fn granted(
    tokens: &Tokens,
    client: &OAuthClient,
    record: &StoredChallenge,
    auth_req_id: &str,
    now: OffsetDateTime,
) -> Result<TokenAnswer, crate::tokens::TokenError> {
    let (client_id, tenant_id) = (&client.client_id, &client.tenant_id);
    let access_token = tokens.issue_access_of_user(&record.user_id, client_id, tenant_id, now)?;
    let claims = IdTokenClaims::of_match(
        tokens.issuer(),
        client_id,
        record,
        auth_req_id,
        &access_token,
        now,
    );
    let id_token = tokens.sign(ID_TOKEN_TYPE, &claims)?;
    let scope = Scope::OpenId.to_string();
    Ok(TokenAnswer::new(access_token, scope, Some(id_token)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requested_lifetime_is_met_as_far_as_it_goes() {
        for (requested, seconds) in [
            ("1", 15),
            ("15", 15),
            ("60", 60),
            ("600", 600),
            ("601", 600),
            ("18446744073709551615", 600),
        ] {
            let ttl = requested_expiry(requested).map(Ttl::seconds);
            assert_eq!(ttl, Ok(seconds), "{requested}");
        }
        for nothing in ["0", "-1", "1.5", "soon", "18446744073709551616", " 60"] {
            let refused = requested_expiry(nothing).expect_err(nothing);
            assert_eq!(refused.code(), OAuthErrorCode::InvalidRequest);
        }
    }

    #[test]
    fn a_notification_token_is_one_of_bearers() {
        for good in [
            "a",
            "8d67dc78-7faa-4d41-aabd-67707b374255",
            "a+/._~-==",
            &"x".repeat(1024),
        ] {
            assert!(is_bearer_token(good), "{good}");
        }
        for bad in ["", "=", "a b", "a=b", "\u{e9}", "a\nb", &"x".repeat(1025)] {
            assert!(!is_bearer_token(bad), "{bad:?}");
        }
    }
}
