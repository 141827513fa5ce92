//! How a client proves who it is: a secret by HTTP Basic or in the body (RFC 6749 §2.3.1), or an assertion
//! that it signed (RFC 7523 §2.2).

use axum::extract::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use identity_store::{Actor, Chain, ClientId, Event, OAuthClient, SecretHash, TenantStatus};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::CIBA_GRANT;
use super::assertion::{ASSERTION_TYPE, Assertion, AssertionFault};
use super::client_keys::ClientKeys;
use super::error::{OAuthError, OAuthErrorCode, TokenRefusal};
use super::form::Form;
use crate::App;
use crate::http::{ErrorCode, MAX_JSON, Problem, RateRefusal, RequestContext, Source};

/// The ways that there are, as metadata names them.
pub(super) const METHODS: [&str; 3] = [
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
];

/// Which requests count against the limit of their source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    /// Each: tokens are made to be kept. A poll that its client sent is none: those have a pace of their own.
    ButPolls,
    /// Those whose client did not prove itself: others are as many as a client has work.
    Failures,
}

/// Reads a request with these parameters of its endpoint: who proved to be the client that sent it, and the
/// parameters.
pub(super) async fn authenticated(
    app: &App,
    context: &RequestContext,
    request: Request,
    parameters: &[&str],
    counted: Counted,
) -> Result<(OAuthClient, Form), TokenRefusal> {
    let (limit, shared) = (&app.rate_limits.sign_in, app.shared_store());
    let source = || Source::from(context.source);
    let too_many = |refusal: RateRefusal| {
        let detail = "Too many requests of clients from this address.";
        refusal.problem(ErrorCode::RateLimited, detail)
    };
    let checked = limit.check(shared, source(), context.now).await;
    checked.map_err(too_many)?;
    let headers = request.headers().clone();
    let body = crate::http::read(request, MAX_JSON).await?;
    let mut form = Form::parse(&headers, &body, parameters)?;
    let is_counted = match counted {
        Counted::ButPolls => !form.has("grant_type", CIBA_GRANT),
        Counted::Failures => false,
    };
    if is_counted {
        let taken = limit.take(shared, source(), context.now).await;
        taken.map_err(too_many)?;
    }
    let claim = Claim::of(&headers, &mut form)?;
    let client = match proven(app, context, &claim).await? {
        Ok(client) => client,
        Err(refusal) => {
            if !is_counted {
                limit.charge(shared, source(), context.now).await?;
            }
            return Err(refusal.into());
        }
    };
    require_active_tenant(app, &client).await?;
    Ok((client, form))
}

/// The client that the claim is true of.
async fn proven(
    app: &App,
    context: &RequestContext,
    claim: &Claim,
) -> Result<Result<OAuthClient, OAuthError>, TokenRefusal> {
    let client_id = claim.client_id().parse::<ClientId>().ok();
    let client = match &client_id {
        Some(client_id) => app.store.client(client_id).await?,
        None => None,
    };
    let chain = match &client {
        Some(client) => Chain::Tenant(client.tenant_id.clone()),
        None => Chain::Platform,
    };
    let (reason, refusal) = match check(app, context, claim, client.as_ref()).await? {
        Ok(()) => match client {
            Some(client) => return Ok(Ok(client)),
            None => (
                "unknown_client",
                OAuthError::invalid_client(claim.is_basic()),
            ),
        },
        Err(refused) => refused,
    };
    // What is no client id may be a secret in the wrong place: it is not written down.
    let client_id = client_id.map(String::from).unwrap_or_default();
    let event = Event::ClientAuthFailed { client_id, reason };
    app.store
        .record(context.change(Actor::Anonymous), chain, vec![event])
        .await?;
    Ok(Err(refusal))
}

/// Why a client is refused: in the audit trail, and in the answer.
type Refused = (&'static str, OAuthError);

/// Whether a claim is true of a client. What an assertion is wrong in by itself is told; whether the client
/// is there is not.
async fn check(
    app: &App,
    context: &RequestContext,
    claim: &Claim,
    client: Option<&OAuthClient>,
) -> Result<Result<(), Refused>, TokenRefusal> {
    let unknown = (
        "unknown_client",
        OAuthError::invalid_client(claim.is_basic()),
    );
    match &claim.proof {
        Proof::Basic { secret } | Proof::Body { secret } => Ok(match client {
            Some(client) if is_secret_of(client, secret, context.now) => Ok(()),
            Some(_) => Err(("wrong_secret", unknown.1)),
            None => Err(unknown),
        }),
        Proof::Assertion(assertion) => {
            let refused = |fault: AssertionFault| {
                let description = fault.description();
                let error = OAuthError::new(OAuthErrorCode::InvalidClient, description);
                Ok(Err((fault.reason(), error)))
            };
            let judged = assertion.judge(claim.named.as_deref(), &app.issuer, context.now);
            if let Err(fault) = judged {
                return refused(fault);
            }
            let Some(client) = client else {
                return Ok(Err(unknown));
            };
            let keys = client.jwks.as_deref().map(ClientKeys::stored);
            let keys = keys.transpose().map_err(Problem::internal)?;
            let verified = match &keys {
                Some(keys) => assertion.verify(keys),
                None => Err(AssertionFault::Signature),
            };
            if let Err(fault) = verified {
                return refused(fault);
            }
            let kept_until = Assertion::kept_until(context.now);
            let (tenant_id, client_id) = (&client.tenant_id, &client.client_id);
            let used =
                app.store
                    .use_assertion(tenant_id, client_id, assertion.digest(), kept_until);
            match used.await? {
                true => Ok(Ok(())),
                false => refused(AssertionFault::Used),
            }
        }
    }
}

async fn require_active_tenant(app: &App, client: &OAuthClient) -> Result<(), TokenRefusal> {
    match app
        .store
        .tenant(&client.tenant_id)
        .await?
        .map(|tenant| tenant.status)
    {
        Some(TenantStatus::Active) => Ok(()),
        Some(TenantStatus::Suspended) | None => {
            let description = "the client's tenant is suspended";
            Err(OAuthError::new(OAuthErrorCode::UnauthorizedClient, description).into())
        }
    }
}

/// What a client claims.
struct Claim {
    /// The client that the request names beside the proof.
    named: Option<String>,
    proof: Proof,
}

/// By what a client proves what it claims.
enum Proof {
    /// A secret by HTTP Basic.
    Basic { secret: Zeroizing<String> },
    /// A secret in the body.
    Body { secret: Zeroizing<String> },
    /// A JWT in the body.
    Assertion(Box<Assertion>),
}

impl Claim {
    /// The one claim that a request makes.
    fn of(headers: &HeaderMap, form: &mut Form) -> Result<Self, OAuthError> {
        let basic = basic(headers)?;
        let client_id = form.take("client_id").map(|id| id.to_string());
        let secret = form.take("client_secret");
        let assertion_type = form.take("client_assertion_type");
        let assertion = match (assertion_type, form.take("client_assertion")) {
            (None, None) => None,
            (Some(kind), Some(jwt)) if *kind == ASSERTION_TYPE => Some(jwt),
            _ => {
                return Err(OAuthError::new(
                    OAuthErrorCode::InvalidRequest,
                    "client_assertion and client_assertion_type belong together, and the type is \
                     urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                ));
            }
        };
        match (basic, secret, assertion) {
            (Some((named, secret)), None, None) => match client_id {
                Some(other) if named != other => Err(OAuthError::new(
                    OAuthErrorCode::InvalidRequest,
                    "client_id and the Authorization header name two clients",
                )),
                Some(_) | None => Ok(Self {
                    named: Some(named),
                    proof: Proof::Basic { secret },
                }),
            },
            (None, Some(secret), None) if client_id.is_some() => Ok(Self {
                named: client_id,
                proof: Proof::Body { secret },
            }),
            (None, None, Some(jwt)) => {
                let assertion = Assertion::read(jwt).map_err(|fault| {
                    OAuthError::new(OAuthErrorCode::InvalidClient, fault.description())
                })?;
                Ok(Self {
                    named: client_id,
                    proof: Proof::Assertion(Box::new(assertion)),
                })
            }
            (None, None, None) | (None, Some(_), None) => Err(OAuthError::invalid_client(false)),
            _ => Err(OAuthError::new(
                OAuthErrorCode::InvalidRequest,
                "the client is to authenticate in one way, not in two",
            )),
        }
    }

    /// Which client it is said to be.
    fn client_id(&self) -> &str {
        match (&self.proof, &self.named) {
            (Proof::Assertion(assertion), _) => assertion.client_id(),
            (Proof::Basic { .. } | Proof::Body { .. }, named) => {
                named.as_deref().unwrap_or_default()
            }
        }
    }

    fn is_basic(&self) -> bool {
        matches!(self.proof, Proof::Basic { .. })
    }
}

/// `Authorization: Basic`, both parts form-encoded (RFC 6749 §2.3.1).
fn basic(headers: &HeaderMap) -> Result<Option<(String, Zeroizing<String>)>, OAuthError> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let claim = value.to_str().ok().and_then(|value| {
        let (scheme, credentials) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = Zeroizing::new(STANDARD.decode(credentials.trim()).ok()?);
        let (client_id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
        let secret = Zeroizing::new(form_decoded(secret)?);
        Some((form_decoded(client_id)?, secret))
    });
    claim
        .map(Some)
        .ok_or_else(|| OAuthError::invalid_client(true))
}

/// The one form-encoded value that `text` is.
fn form_decoded(text: &str) -> Option<String> {
    let encoded = Zeroizing::new(format!("v={text}"));
    let mut pairs = url::form_urlencoded::parse(encoded.as_bytes());
    match (pairs.next(), pairs.next()) {
        (Some((_, value)), None) => Some(value.into_owned()),
        _ => None,
    }
}

/// What is stored of a secret.
pub(super) fn secret_hash(secret: &str) -> SecretHash {
    SecretHash(Sha256::digest(secret).into())
}

/// Whether `secret` is one of the client's that are good at `now`. Every secret is compared, in
/// constant time.
fn is_secret_of(client: &OAuthClient, secret: &str, now: OffsetDateTime) -> bool {
    let given = secret_hash(secret);
    let good = client
        .secrets
        .iter()
        .filter(|known| known.expires_at.is_none_or(|end| now < end));
    let equal = good.fold(Choice::from(0), |found, known| {
        found | known.hash.0.ct_eq(&given.0)
    });
    equal.into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use http::HeaderValue;
    use http::header::CONTENT_TYPE;
    use identity_pki::TenantId;
    use identity_store::{ClientId, ClientSecret};
    use time::{Duration, macros::datetime};

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

    fn claim(authorization: Option<&str>, body: &str) -> Result<Claim, OAuthErrorCode> {
        let media_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, media_type)]);
        if let Some(value) = authorization {
            let value = HeaderValue::from_str(value).expect("header");
            headers.insert(AUTHORIZATION, value);
        }
        let mut form = Form::parse(&headers, body.as_bytes(), &[]).expect("a form");
        Claim::of(&headers, &mut form).map_err(|error| error.code())
    }

    fn basic_header(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn a_client_authenticates_by_basic_or_in_the_body() {
        for (authorization, body, basic) in [
            (Some(basic_header("cli_1:s%2Bcret")), "", true),
            (
                Some(basic_header("cli_1:s%2Bcret")),
                "client_id=cli_1",
                true,
            ),
            (None, "client_id=cli_1&client_secret=s%2Bcret", false),
        ] {
            let claim = claim(authorization.as_deref(), body).expect(body);
            let (Proof::Basic { secret } | Proof::Body { secret }) = &claim.proof else {
                panic!("no secret: {body}");
            };
            assert_eq!((claim.client_id(), secret.as_str()), ("cli_1", "s+cret"));
            assert_eq!(claim.is_basic(), basic);
        }
    }

    #[test]
    fn no_claim_and_two_claims_are_refused() {
        use OAuthErrorCode::{InvalidClient, InvalidRequest};
        let good = basic_header("cli_1:secret");
        let both = format!("client_assertion_type={ASSERTION_TYPE}&client_assertion=a.b.c");
        let with_secret = format!("{both}&client_id=cli_1&client_secret=secret");
        for (authorization, body, code) in [
            (None, "", InvalidClient),
            (None, "client_id=cli_1", InvalidClient),
            (None, "client_secret=secret", InvalidClient),
            (Some("Bearer abc"), "", InvalidClient),
            (Some("Basic !!"), "", InvalidClient),
            (Some(&*basic_header("no-colon")), "", InvalidClient),
            (
                Some(&*good),
                "client_id=cli_1&client_secret=secret",
                InvalidRequest,
            ),
            (Some(&*good), "client_id=cli_2", InvalidRequest),
            (Some(&*good), &both, InvalidRequest),
            (None, &with_secret, InvalidRequest),
            (None, "client_assertion=a.b.c", InvalidRequest),
            (
                None,
                "client_assertion_type=urn:other&client_assertion=a.b.c",
                InvalidRequest,
            ),
            (None, &both, InvalidClient),
        ] {
            let refused = claim(authorization, body).err();
            assert_eq!(refused, Some(code), "{authorization:?} {body}");
        }
    }

    #[test]
    fn a_secret_is_good_until_it_ends() {
        let ending = ClientSecret {
            hash: secret_hash("old"),
            expires_at: Some(NOW + Duration::SECOND),
        };
        let client = OAuthClient {
            client_id: ClientId::generate(NOW, &mut crate::clock::entropy()),
            tenant_id: TenantId::new("acme").expect("tenant"),
            name: "Backend".into(),
            scopes: BTreeSet::new(),
            secrets: vec![
                ending,
                ClientSecret {
                    hash: secret_hash("new"),
                    expires_at: None,
                },
            ],
            jwks: None,
            notification_endpoint: None,
            created_at: NOW,
        };
        assert!(is_secret_of(&client, "old", NOW));
        assert!(!is_secret_of(&client, "old", NOW + Duration::SECOND));
        assert!(is_secret_of(&client, "new", NOW + Duration::days(999)));
        assert!(!is_secret_of(&client, "", NOW) && !is_secret_of(&client, "New", NOW));
    }
}
