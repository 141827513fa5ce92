//! Client assertions: a JWT that a client signed with a private key of its own (RFC 7523 §3).

use identity_store::AssertionSha256;
use jsonwebtoken::{Header, Validation};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use super::client_keys::ClientKeys;
use super::error::AUTHENTICATION_FAILED;

/// The one value of `client_assertion_type` (RFC 7523 §2.2).
pub(super) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Some three times what one is that is signed with RSA-4096.
const MAX_LENGTH: usize = 4096;
const MAX_JTI: usize = 256;
/// How far ahead an assertion may end: that long a stolen one is of use that did not arrive, and a used one
/// is kept in mind. Authlib makes them for so long unless it is told otherwise.
const MAX_LIFE: Duration = Duration::HOUR;
/// How far the clock of a client may be ahead.
const SKEW: Duration = Duration::minutes(1);

/// An assertion that was read, and not yet believed.
pub(super) struct Assertion {
    jwt: Zeroizing<String>,
    header: Header,
    claims: Claims,
}

/// The claims of an assertion (RFC 7523 §3).
#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: i64,
    #[serde(default)]
    nbf: Option<i64>,
    #[serde(default)]
    iat: Option<i64>,
    jti: String,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn names(&self, server: &str) -> bool {
        match self {
            Self::One(audience) => audience == server,
            Self::Several(audiences) => audiences.iter().any(|audience| audience == server),
        }
    }
}

/// Why an assertion proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AssertionFault {
    Malformed,
    Client,
    Audience,
    Expired,
    TooLong,
    NotYet,
    /// Of an unknown client, or not by one of the client's keys: told alike.
    Signature,
    Used,
}

impl AssertionFault {
    /// What the audit trail says.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "assertion_malformed",
            Self::Client => "assertion_of_another_client",
            Self::Audience => "assertion_audience",
            Self::Expired | Self::TooLong | Self::NotYet => "assertion_time",
            Self::Signature => "assertion_signature",
            Self::Used => "assertion_used",
        }
    }

    /// What the client is told.
    pub(super) fn description(self) -> &'static str {
        match self {
            Self::Malformed => {
                "client_assertion is to be a JWT of at most 4096 bytes, signed by ES256, ES384, EdDSA, \
                 RS256 or PS256, with iss, sub, aud, exp and jti, and without crit"
            }
            Self::Client => "iss and sub of the assertion are to be the client_id",
            Self::Audience => "aud of the assertion is to be the issuer or the token endpoint",
            Self::Expired => "exp of the assertion is over",
            Self::TooLong => "exp of the assertion is to be within an hour",
            Self::NotYet => "iat or nbf of the assertion is yet to come",
            Self::Signature => AUTHENTICATION_FAILED,
            Self::Used => {
                "the assertion was used before: its jti is to be another for each request"
            }
        }
    }
}

impl Assertion {
    /// Reads an assertion.
    pub(super) fn read(jwt: Zeroizing<String>) -> Result<Self, AssertionFault> {
        if jwt.len() > MAX_LENGTH {
            return Err(AssertionFault::Malformed);
        }
        // `alg: none`, and what else no key here signs by, is no header to the library.
        let read = jsonwebtoken::dangerous::insecure_decode::<Claims>(jwt.as_str());
        let read = read.map_err(|_| AssertionFault::Malformed)?;
        let jti = 1..=MAX_JTI;
        if read.header.crit.is_some() || !jti.contains(&read.claims.jti.len()) {
            return Err(AssertionFault::Malformed);
        }
        Ok(Self {
            jwt,
            header: read.header,
            claims: read.claims,
        })
    }

    /// Whose it says that it is.
    pub(super) fn client_id(&self) -> &str {
        &self.claims.sub
    }

    /// Whether its claims are those of an assertion for here and now. `client_id` is that of the request.
    pub(super) fn judge(
        &self,
        client_id: Option<&str>,
        issuer: &str,
        now: OffsetDateTime,
    ) -> Result<(), AssertionFault> {
        let claims = &self.claims;
        if claims.iss != claims.sub || client_id.is_some_and(|id| id != claims.sub) {
            return Err(AssertionFault::Client);
        }
        let token_endpoint = super::token_endpoint(issuer);
        if !(claims.aud.names(issuer) || claims.aud.names(&token_endpoint)) {
            return Err(AssertionFault::Audience);
        }
        if claims.exp <= now.unix_timestamp() {
            return Err(AssertionFault::Expired);
        }
        if claims.exp > (now + MAX_LIFE + SKEW).unix_timestamp() {
            return Err(AssertionFault::TooLong);
        }
        let latest = (now + SKEW).unix_timestamp();
        let mut begins = [claims.nbf, claims.iat].into_iter().flatten();
        if begins.any(|begin| begin > latest) {
            return Err(AssertionFault::NotYet);
        }
        Ok(())
    }

    /// Whether the client's keys verify its signature.
    pub(super) fn verify(&self, keys: &ClientKeys) -> Result<(), AssertionFault> {
        let key = keys.key_of(&self.header).ok_or(AssertionFault::Signature)?;
        let mut validation = Validation::new(self.header.alg);
        // The claims are judged by the server's clock, not by the library's.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let verified = jsonwebtoken::decode::<Claims>(self.jwt.as_str(), &key, &validation);
        verified.map(|_| ()).map_err(|_| AssertionFault::Signature)
    }

    /// What makes it the only one of its client's.
    pub(super) fn digest(&self) -> AssertionSha256 {
        AssertionSha256(Sha256::digest(&self.claims.jti).into())
    }

    /// Until when its use is kept in mind, by every replica's clock, when it is good at `now`.
    pub(super) fn kept_until(now: OffsetDateTime) -> OffsetDateTime {
        now + MAX_LIFE + SKEW + SKEW
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, EncodingKey};
    use serde_json::{Value, json};
    use time::macros::datetime;

    use super::*;
    use crate::tokens::Tokens;

    const NOW: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);
    const ISSUER: &str = "https://id.example";

    fn claims() -> Value {
        let now = NOW.unix_timestamp();
        json!({"iss": "cli_1", "sub": "cli_1", "aud": ISSUER, "exp": now + 60, "iat": now, "jti": "one"})
    }

    /// A key, and what signs by it.
    fn key() -> (EncodingKey, ClientKeys) {
        let pem = Tokens::fresh_key().expect("a key");
        let tokens = Tokens::load(ISSUER, &pem).expect("tokens");
        let jwks = serde_json::to_value(tokens.jwks(NOW)).expect("JSON");
        let keys = ClientKeys::try_from(jwks).expect("keys");
        let signing = EncodingKey::from_ec_pem(pem.expose()).expect("a key");
        (signing, keys)
    }

    fn sign(header: &Header, claims: &Value, key: &EncodingKey) -> Zeroizing<String> {
        jsonwebtoken::encode(header, claims, key)
            .expect("signed")
            .into()
    }

    fn judged(changes: Value, client_id: Option<&str>) -> Result<(), AssertionFault> {
        let mut claims = claims();
        for (name, value) in changes.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        let jwt = sign(&Header::new(Algorithm::ES256), &claims, &key().0);
        Assertion::read(jwt)?.judge(client_id, ISSUER, NOW)
    }

    #[test]
    fn an_assertion_is_of_its_client_for_here_and_now() {
        use AssertionFault::{Audience, Client, Expired, Malformed, NotYet, TooLong};
        let now = NOW.unix_timestamp();
        let token_endpoint = "https://id.example/v1/auth/token";
        for good in [
            json!({}),
            json!({"aud": token_endpoint}),
            json!({"aud": ["https://other.example", ISSUER]}),
            json!({"exp": now + 3660}),
            json!({"iat": now + 60, "nbf": now + 60}),
            json!({"exp": now + 1}),
        ] {
            assert_eq!(judged(good.clone(), Some("cli_1")), Ok(()), "{good}");
        }
        assert_eq!(judged(json!({}), None), Ok(()));
        assert_eq!(judged(json!({}), Some("cli_2")), Err(Client));
        for (bad, fault) in [
            (json!({"iss": "cli_2"}), Client),
            (json!({"aud": "https://other.example"}), Audience),
            (json!({"aud": []}), Audience),
            (json!({"aud": "https://id.example/"}), Audience),
            (json!({"exp": now}), Expired),
            (json!({"exp": now + 3661}), TooLong),
            (json!({"iat": now + 61}), NotYet),
            (json!({"nbf": now + 61}), NotYet),
            (json!({"jti": ""}), Malformed),
            (json!({"jti": "j".repeat(257)}), Malformed),
            (json!({"exp": "soon"}), Malformed),
            (json!({"sub": null}), Malformed),
            (json!({"more": "x".repeat(4096)}), Malformed),
        ] {
            assert_eq!(judged(bad.clone(), Some("cli_1")), Err(fault), "{bad}");
        }
    }

    #[test]
    fn no_algorithm_and_an_extension_are_malformed() {
        let (key, _) = key();
        let signed = sign(&Header::new(Algorithm::ES256), &claims(), &key);
        let payload = signed.split('.').nth(1).expect("claims");
        // {"alg":"none"}
        let unsigned = format!("eyJhbGciOiJub25lIn0.{payload}.");
        let mut extended = Header::new(Algorithm::ES256);
        extended.crit = Some(vec!["b64".to_owned()]);
        let extended = sign(&extended, &claims(), &key);
        for jwt in [
            unsigned.into(),
            extended,
            String::new().into(),
            "a.b.c".to_owned().into(),
        ] {
            let fault = Assertion::read(jwt).err();
            assert_eq!(fault, Some(AssertionFault::Malformed));
        }
    }

    #[test]
    fn one_of_the_clients_keys_signs_it() {
        let ((key, keys), (_, other_keys)) = (key(), key());
        let verify = |jwt, keys| Assertion::read(jwt).expect("one").verify(keys);
        let header = Header::new(Algorithm::ES256);
        let signed = sign(&header, &claims(), &key);
        assert_eq!(verify(signed.clone(), &keys), Ok(()));
        let refused = Err(AssertionFault::Signature);
        assert_eq!(verify(signed, &other_keys), refused);
        let mut unknown = header;
        unknown.kid = Some("nobody's".to_owned());
        assert_eq!(verify(sign(&unknown, &claims(), &key), &keys), refused);
        // The public key is no secret: as one of HMAC it would let anybody sign.
        let public = keys.to_json().expect("JSON");
        for secret in [public.as_bytes(), b""] {
            let forged = EncodingKey::from_secret(secret);
            let forged = sign(&Header::new(Algorithm::HS256), &claims(), &forged);
            assert_eq!(verify(forged, &keys), refused);
        }
    }
}
