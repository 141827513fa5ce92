//! How a client proves who it is: a secret by HTTP Basic or in the body (RFC 6749 §2.3.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use identity_store::{OAuthClient, SecretHash};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::error::{OAuthError, OAuthErrorCode};
use super::form::TokenForm;

/// What a client claims.
pub(super) struct Claim {
    pub(super) client_id: String,
    pub(super) secret: Zeroizing<String>,
    /// Whether it was made by HTTP Basic.
    pub(super) basic: bool,
}

impl Claim {
    /// The one claim that a request makes.
    pub(super) fn of(headers: &HeaderMap, form: &mut TokenForm) -> Result<Self, OAuthError> {
        let basic = basic(headers)?;
        match (basic, form.client_id.take(), form.client_secret.take()) {
            (Some(_), _, Some(_)) => Err(OAuthError::new(
                OAuthErrorCode::InvalidRequest,
                "the client is to authenticate in one way, not in two",
            )),
            (Some(claim), Some(other), None) if claim.client_id != other => Err(OAuthError::new(
                OAuthErrorCode::InvalidRequest,
                "client_id and the Authorization header name two clients",
            )),
            (Some(claim), _, None) => Ok(claim),
            (None, Some(client_id), Some(secret)) => Ok(Self {
                client_id,
                secret,
                basic: false,
            }),
            (None, _, _) => Err(OAuthError::invalid_client(false)),
        }
    }
}

/// `Authorization: Basic`, both parts form-encoded (RFC 6749 §2.3.1).
fn basic(headers: &HeaderMap) -> Result<Option<Claim>, OAuthError> {
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
        Some(Claim {
            client_id: form_decoded(client_id)?,
            secret: Zeroizing::new(form_decoded(secret)?),
            basic: true,
        })
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
pub(super) fn is_secret_of(client: &OAuthClient, secret: &str, now: OffsetDateTime) -> bool {
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
    use identity_pki::TenantId;
    use identity_store::{ClientId, ClientSecret};
    use time::{Duration, macros::datetime};

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

    fn claim(authorization: Option<&str>, body: &str) -> Result<Claim, OAuthErrorCode> {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            let value = HeaderValue::from_str(value).expect("header");
            headers.insert(AUTHORIZATION, value);
        }
        let mut form = TokenForm::default();
        for (name, value) in url::form_urlencoded::parse(body.as_bytes()) {
            match &*name {
                "client_id" => form.client_id = Some(value.into_owned()),
                "client_secret" => form.client_secret = Some(Zeroizing::new(value.into_owned())),
                other => panic!("{other}"),
            }
        }
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
            assert_eq!(
                (claim.client_id.as_str(), claim.secret.as_str()),
                ("cli_1", "s+cret")
            );
            assert_eq!(claim.basic, basic);
        }
    }

    #[test]
    fn no_claim_and_two_claims_are_refused() {
        use OAuthErrorCode::{InvalidClient, InvalidRequest};
        let good = basic_header("cli_1:secret");
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
            created_at: NOW,
        };
        assert!(is_secret_of(&client, "old", NOW));
        assert!(!is_secret_of(&client, "old", NOW + Duration::SECOND));
        assert!(is_secret_of(&client, "new", NOW + Duration::days(999)));
        assert!(!is_secret_of(&client, "", NOW) && !is_secret_of(&client, "New", NOW));
    }
}
