//! Signed tokens: access tokens (RFC 9068) and whatever else the platform's key vouches for.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use identity_pki::{SoftwareSigner, TenantId};
use identity_store::{ClientId, IssuedToken, SecretBytes, TokenKeys, UserId};
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::clock;
use crate::http::Scope;

/// How long an access token is good.
pub const ACCESS_TOKEN_LIFE: Duration = Duration::minutes(15);

const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// Why a token is not accepted, and what can go wrong with the key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The signing key, or something signed with it, cannot be used.
    #[error("the token or the signing key is unusable")]
    Jwt(#[from] jsonwebtoken::errors::Error),
    /// A fresh signing key could not be made.
    #[error("no signing key could be made")]
    Key(#[source] identity_pki::Error),
    /// The token names no key of the platform's.
    #[error("the token names no key of the platform's")]
    UnknownKey,
    /// The token's key was retired too long ago.
    #[error("the token's key was retired longer ago than tokens live")]
    RetiredKey,
    /// The token is one of another type.
    #[error("the token is of another type")]
    Type,
    /// The token's time is over, or yet to come.
    #[error("the token is not valid now")]
    Time,
    /// The token's claims are not those of an access token of ours.
    #[error("the token's {0} claim is not one of ours")]
    Claim(&'static str),
}

/// An access token that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// The client that it was given to.
    pub client_id: ClientId,
    /// The client's tenant.
    pub tenant_id: TenantId,
    /// The user who authenticated for it, if one did.
    pub user_id: Option<UserId>,
    /// What it may be used for.
    pub scopes: BTreeSet<Scope>,
    /// Its own id.
    pub jti: String,
    /// When it was given.
    pub issued_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

impl AccessToken {
    /// Whom it is about (RFC 9068 §2.2): its user, or its client.
    #[must_use]
    pub fn subject(&self) -> String {
        match &self.user_id {
            Some(user_id) => user_id.to_string(),
            None => self.client_id.to_string(),
        }
    }

    /// The token as stores know it. What is known of it is kept for longer than any replica's clock takes it
    /// for valid.
    #[must_use]
    pub fn issued(&self) -> IssuedToken {
        IssuedToken {
            tenant_id: self.tenant_id.clone(),
            client_id: self.client_id.clone(),
            jti: self.jti.clone(),
            expires_at: self.expires_at + ACCESS_TOKEN_LIFE,
        }
    }
}

/// The claims of an access token (RFC 9068 §2.2, contract §5).
#[derive(Debug, Serialize, Deserialize)]
struct AccessClaims {
    iss: String,
    aud: String,
    sub: String,
    client_id: String,
    tenant_id: String,
    scope: String,
    jti: String,
    iat: i64,
    exp: i64,
}

/// How much longer than a token's life the key before verifies: other replicas sign with it until they hear
/// of the next, and their clocks are their own.
const RETIRED_MARGIN: Duration = Duration::minutes(5);

/// The platform's signing key, those before and the next, and what is signed with them.
pub struct Tokens {
    issuer: String,
    ring: ArcSwap<KeyRing>,
}

/// The keys of one moment.
struct KeyRing {
    signing: EncodingKey,
    key_id: String,
    /// The signing one, the next if there is one, and those before.
    known: Vec<KnownKey>,
}

/// A key that verifies.
struct KnownKey {
    key_id: String,
    public: Jwk,
    verifying: DecodingKey,
    retired_at: Option<OffsetDateTime>,
}

impl KnownKey {
    fn new(public: Jwk, retired_at: Option<OffsetDateTime>) -> Result<Self, TokenError> {
        Ok(Self {
            key_id: public.common.key_id.clone().ok_or(TokenError::UnknownKey)?,
            verifying: DecodingKey::from_jwk(&public)?,
            public,
            retired_at,
        })
    }

    /// Whether a token that it signed can be good at `now`.
    fn counts(&self, now: OffsetDateTime) -> bool {
        let life = ACCESS_TOKEN_LIFE + RETIRED_MARGIN;
        self.retired_at.is_none_or(|retired| now < retired + life)
    }
}

impl KeyRing {
    fn of(signing: &SecretBytes) -> Result<Self, TokenError> {
        let (signing, public) = read_key(signing)?;
        let signing_key = KnownKey::new(public, None)?;
        Ok(Self {
            signing,
            key_id: signing_key.key_id.clone(),
            known: vec![signing_key],
        })
    }

    fn find(&self, key_id: Option<&str>) -> Result<&KnownKey, TokenError> {
        let mut known = self.known.iter();
        known
            .find(|key| Some(&*key.key_id) == key_id)
            .ok_or(TokenError::UnknownKey)
    }
}

/// What signs by a key in PKCS#8, PEM, and the public key under its thumbprint (RFC 7638).
fn read_key(pem: &SecretBytes) -> Result<(EncodingKey, Jwk), TokenError> {
    let signing = EncodingKey::from_ec_pem(pem.expose())?;
    let mut public = Jwk::from_encoding_key(&signing, Algorithm::ES256)?;
    public.common.key_id = Some(public.thumbprint(ThumbprintHash::SHA256)?);
    public.common.public_key_use = Some(PublicKeyUse::Signature);
    Ok((signing, public))
}

impl Tokens {
    /// A secret for [`load`](Self::load): a fresh P-256 key in PKCS#8, PEM.
    ///
    /// # Errors
    ///
    /// [`TokenError::Key`].
    pub fn fresh_key() -> Result<SecretBytes, TokenError> {
        let key = SoftwareSigner::generate(&mut clock::entropy());
        let pem = key.to_pkcs8_pem().map_err(TokenError::Key)?;
        Ok(SecretBytes::new(pem.as_bytes()))
    }

    /// Tokens of `issuer`, signed with `key`.
    ///
    /// # Errors
    ///
    /// [`TokenError::Jwt`] when the key is no P-256 key in PKCS#8.
    pub fn load(issuer: impl Into<String>, key: &SecretBytes) -> Result<Self, TokenError> {
        Ok(Self {
            issuer: issuer.into(),
            ring: ArcSwap::from_pointee(KeyRing::of(key)?),
        })
    }

    /// The name of a key that [`fresh_key`](Self::fresh_key) made.
    ///
    /// # Errors
    ///
    /// [`TokenError::Jwt`] when it is none.
    pub fn key_id_of(key: &SecretBytes) -> Result<String, TokenError> {
        Ok(KeyRing::of(key)?.key_id)
    }

    /// Takes up the keys as they are stored now: signs with the active one, and knows the next and those
    /// before. Without an active one everything stays as it was.
    ///
    /// # Errors
    ///
    /// [`TokenError`] when one of them is no key; everything stays as it was.
    pub fn follow(&self, keys: &TokenKeys) -> Result<(), TokenError> {
        let Some(active) = &keys.active else {
            return Ok(());
        };
        let mut ring = KeyRing::of(active)?;
        if let Some(next) = &keys.next {
            ring.known
                .push(KnownKey::new(read_key(&next.secret)?.1, None)?);
        }
        for retired in keys.retired.iter().rev() {
            let public = serde_json::from_str(&retired.public_jwk);
            let public = public.map_err(|_| TokenError::UnknownKey)?;
            ring.known
                .push(KnownKey::new(public, Some(retired.retired_at))?);
        }
        self.ring.store(Arc::new(ring));
        Ok(())
    }

    /// The name of the key that signs, and its public key, a JWK.
    ///
    /// # Errors
    ///
    /// [`TokenError::UnknownKey`] when there is none, which is not so.
    pub fn signing_key(&self) -> Result<(String, String), TokenError> {
        let ring = self.ring.load();
        let public = &ring.find(Some(&ring.key_id))?.public;
        let public = serde_json::to_string(public).map_err(|_| TokenError::UnknownKey)?;
        Ok((ring.key_id.clone(), public))
    }

    /// Who signs: the `iss` claim.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The public keys of what can be good at `now` or soon, as a JWK set (RFC 7517 §5) under their RFC 7638
    /// thumbprints: the signing one first.
    #[must_use]
    pub fn jwks(&self, now: OffsetDateTime) -> JwkSet {
        let ring = self.ring.load();
        let good = ring.known.iter().filter(|key| key.counts(now));
        JwkSet {
            keys: good.map(|key| key.public.clone()).collect(),
        }
    }

    /// Every public key that there was, and since when it signs nothing.
    #[must_use]
    pub fn all_keys(&self) -> Vec<(Jwk, Option<OffsetDateTime>)> {
        let ring = self.ring.load();
        let known = ring.known.iter();
        known
            .map(|key| (key.public.clone(), key.retired_at))
            .collect()
    }

    /// Signs `claims` as a compact JWS of type `typ`, ES256.
    ///
    /// # Errors
    ///
    /// [`TokenError::Jwt`] when `claims` are no JSON object.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, TokenError> {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(typ.to_owned());
        let ring = self.ring.load();
        header.kid = Some(ring.key_id.clone());
        Ok(jsonwebtoken::encode(&header, claims, &ring.signing)?)
    }

    /// Verifies a compact JWS of type `typ` that [`sign`](Self::sign) made, by whatever key there was:
    /// type, algorithm and signature. Its claims are the caller's to judge, its time included.
    ///
    /// # Errors
    ///
    /// The first rule that it breaks.
    pub fn verify<T: DeserializeOwned>(&self, typ: &str, token: &str) -> Result<T, TokenError> {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.validate_aud = false;
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        let header = jsonwebtoken::decode_header(token)?;
        let ring = self.ring.load();
        let key = ring.find(header.kid.as_deref())?;
        let data = jsonwebtoken::decode::<T>(token, &key.verifying, &validation)?;
        if data.header.typ.as_deref() == Some(typ) {
            Ok(data.claims)
        } else {
            Err(TokenError::Type)
        }
    }

    /// An access token for a client, good from `now` for [`ACCESS_TOKEN_LIFE`].
    ///
    /// # Errors
    ///
    /// [`TokenError::Jwt`] when the key fails.
    pub fn issue_access(
        &self,
        client_id: &ClientId,
        tenant_id: &TenantId,
        scopes: &BTreeSet<Scope>,
        now: OffsetDateTime,
    ) -> Result<String, TokenError> {
        let sub = client_id.to_string();
        self.sign_access(sub, client_id, tenant_id, scope_text(scopes), now)
    }

    /// An access token for the client to which a user authenticated, good for as long as any.
    ///
    /// # Errors
    ///
    /// [`TokenError::Jwt`] when the key fails.
    pub fn issue_access_of_user(
        &self,
        user_id: &UserId,
        client_id: &ClientId,
        tenant_id: &TenantId,
        now: OffsetDateTime,
    ) -> Result<String, TokenError> {
        let (sub, scope) = (user_id.to_string(), Scope::OpenId.to_string());
        self.sign_access(sub, client_id, tenant_id, scope, now)
    }

    fn sign_access(
        &self,
        sub: String,
        client_id: &ClientId,
        tenant_id: &TenantId,
        scope: String,
        now: OffsetDateTime,
    ) -> Result<String, TokenError> {
        let claims = AccessClaims {
            iss: self.issuer.clone(),
            aud: self.issuer.clone(),
            sub,
            client_id: client_id.to_string(),
            tenant_id: tenant_id.as_str().to_owned(),
            scope,
            jti: identity_store::new_ulid(now, &mut clock::entropy()),
            iat: now.unix_timestamp(),
            exp: (now + ACCESS_TOKEN_LIFE).unix_timestamp(),
        };
        self.sign(ACCESS_TOKEN_TYPE, &claims)
    }

    /// Verifies an access token: its key, type, algorithm, signature, issuer, audience and time
    /// (RFC 9068 §4). No key verifies longer than a token lives that it signed last.
    ///
    /// # Errors
    ///
    /// The first rule that it breaks.
    pub fn verify_access(
        &self,
        token: &str,
        now: OffsetDateTime,
    ) -> Result<AccessToken, TokenError> {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.issuer]);
        // The library would read a clock of its own.
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        let header = jsonwebtoken::decode_header(token)?;
        let ring = self.ring.load();
        let key = ring.find(header.kid.as_deref())?;
        if !key.counts(now) {
            return Err(TokenError::RetiredKey);
        }
        let data = jsonwebtoken::decode::<AccessClaims>(token, &key.verifying, &validation)?;
        if data.header.typ.as_deref() != Some(ACCESS_TOKEN_TYPE) {
            return Err(TokenError::Type);
        }
        let token = AccessToken::try_from(data.claims)?;
        let valid = token.issued_at <= now + Duration::minutes(1) && now < token.expires_at;
        if valid {
            Ok(token)
        } else {
            Err(TokenError::Time)
        }
    }
}

/// Scopes as RFC 6749 §3.3 writes them: separated by single spaces.
#[must_use]
pub fn scope_text(scopes: &BTreeSet<Scope>) -> String {
    scopes
        .iter()
        .map(|scope| scope.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

impl TryFrom<AccessClaims> for AccessToken {
    type Error = TokenError;

    fn try_from(claims: AccessClaims) -> Result<Self, TokenError> {
        let time = |seconds, claim| {
            OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| TokenError::Claim(claim))
        };
        let scopes = claims.scope.split_ascii_whitespace().map(str::parse);
        let of_user = (claims.sub != claims.client_id).then_some(&claims.sub);
        Ok(Self {
            user_id: of_user
                .map(|sub| sub.parse())
                .transpose()
                .map_err(|_| TokenError::Claim("sub"))?,
            client_id: claims
                .client_id
                .parse()
                .map_err(|_| TokenError::Claim("client_id"))?,
            tenant_id: TenantId::new(&claims.tenant_id)
                .map_err(|_| TokenError::Claim("tenant_id"))?,
            scopes: scopes
                .collect::<Result<_, _>>()
                .map_err(|_| TokenError::Claim("scope"))?,
            issued_at: time(claims.iat, "iat")?,
            expires_at: time(claims.exp, "exp")?,
            jti: claims.jti,
        })
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("issuer", &self.issuer)
            .field("key_id", &self.ring.load().key_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use identity_store::{NextTokenKey, RetiredTokenKey};

    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-22 12:00 UTC);

    fn tokens(issuer: &str) -> Tokens {
        Tokens::load(issuer, &Tokens::fresh_key().expect("key")).expect("tokens")
    }

    fn issue(tokens: &Tokens) -> String {
        let client_id = ClientId::generate(NOW, &mut clock::entropy());
        let tenant_id = TenantId::new("acme").expect("tenant");
        let scopes = BTreeSet::from([Scope::DevicesRead, Scope::UsersWrite]);
        tokens
            .issue_access(&client_id, &tenant_id, &scopes, NOW)
            .expect("token")
    }

    #[test]
    fn an_access_token_is_good_for_its_life() {
        let tokens = tokens("https://id.example");
        let token = issue(&tokens);
        let verified = tokens.verify_access(&token, NOW).expect("valid");
        assert_eq!(verified.tenant_id.as_str(), "acme");
        assert_eq!(scope_text(&verified.scopes), "devices.read users.write");
        let last = NOW + ACCESS_TOKEN_LIFE - Duration::SECOND;
        assert!(tokens.verify_access(&token, last).is_ok());
        let end = NOW + ACCESS_TOKEN_LIFE;
        assert!(matches!(
            tokens.verify_access(&token, end),
            Err(TokenError::Time)
        ));
    }

    #[test]
    fn only_this_issuers_key_is_believed() {
        let (ours, theirs) = (tokens("https://id.example"), tokens("https://id.example"));
        assert!(
            ours.verify_access(&issue(&theirs), NOW).is_err(),
            "another key"
        );
        let mut token = issue(&ours);
        token.pop();
        assert!(ours.verify_access(&token, NOW).is_err(), "a cut signature");
    }

    #[test]
    fn another_issuers_token_is_refused_under_the_same_key() {
        let key = Tokens::fresh_key().expect("key");
        let ours = Tokens::load("https://a.example", &key).expect("tokens");
        let theirs = Tokens::load("https://b.example", &key).expect("tokens");
        assert!(ours.verify_access(&issue(&theirs), NOW).is_err());
    }

    fn claims(tokens: &Tokens, seconds: i64) -> AccessClaims {
        AccessClaims {
            iss: tokens.issuer.clone(),
            aud: tokens.issuer.clone(),
            sub: "s".into(),
            client_id: ClientId::generate(NOW, &mut clock::entropy()).to_string(),
            tenant_id: "acme".into(),
            scope: String::new(),
            jti: "j".into(),
            iat: NOW.unix_timestamp(),
            exp: NOW.unix_timestamp() + seconds,
        }
    }

    #[test]
    fn what_the_key_signs_for_others_is_no_access_token() {
        let tokens = tokens("https://id.example");
        let claims = claims(&tokens, 60);
        let receipt = tokens
            .sign("verification-receipt+jwt", &claims)
            .expect("receipt");
        assert!(matches!(
            tokens.verify_access(&receipt, NOW),
            Err(TokenError::Type)
        ));
        let access = tokens.sign(ACCESS_TOKEN_TYPE, &claims).expect("token");
        assert!(tokens.verify_access(&access, NOW).is_ok());
    }

    #[test]
    fn the_jwk_is_public_and_named_by_its_thumbprint() {
        let tokens = tokens("https://id.example");
        let jwks = serde_json::to_value(tokens.jwks(NOW)).expect("JSON");
        let key = &jwks["keys"][0];
        assert_eq!((&key["kty"], &key["crv"]), (&"EC".into(), &"P-256".into()));
        let (key_id, _) = tokens.signing_key().expect("a key");
        assert_eq!(key["kid"], key_id.as_str());
        assert!(key.get("d").is_none());
        let header = jsonwebtoken::decode_header(issue(&tokens)).expect("header");
        assert_eq!(header.kid.as_deref(), Some(key_id.as_str()));
    }

    /// The keys after `tokens` signed until now, with a fresh one next.
    fn rotated(tokens: &Tokens, fresh: &SecretBytes) -> TokenKeys {
        let (key_id, public_jwk) = tokens.signing_key().expect("a key");
        TokenKeys {
            active: Some(fresh.clone()),
            active_since: Some(NOW),
            next: None,
            retired: vec![RetiredTokenKey {
                key_id,
                public_jwk,
                retired_at: NOW,
            }],
        }
    }

    #[test]
    fn a_retired_key_verifies_for_as_long_as_what_it_signed_lives() {
        let tokens = tokens("https://id.example");
        let (token, receipt) = (
            issue(&tokens),
            tokens
                .sign(
                    "verification-receipt+jwt",
                    &serde_json::json!({"sub": "ada"}),
                )
                .expect("one"),
        );
        let fresh = Tokens::fresh_key().expect("a key");
        tokens.follow(&rotated(&tokens, &fresh)).expect("keys");
        assert!(tokens.verify_access(&token, NOW).is_ok());
        // One that claims to live longer than any.
        let claims = claims(&tokens, 86_400);
        let old = Tokens::load("https://id.example", &fresh).expect("tokens");
        let long = old.sign(ACCESS_TOKEN_TYPE, &claims).expect("one");
        let newest = Tokens::fresh_key().expect("a key");
        tokens.follow(&rotated(&tokens, &newest)).expect("keys");
        let end = NOW + ACCESS_TOKEN_LIFE + RETIRED_MARGIN;
        let before = end - Duration::SECOND;
        assert!(tokens.verify_access(&long, before).is_ok());
        let refused = tokens.verify_access(&long, end);
        assert!(matches!(refused, Err(TokenError::RetiredKey)));
        assert_eq!(
            (tokens.jwks(before).keys.len(), tokens.jwks(end).keys.len()),
            (2, 1)
        );
        let kept = tokens.verify::<serde_json::Value>("verification-receipt+jwt", &receipt);
        assert!(matches!(kept, Err(TokenError::UnknownKey)), "two keys ago");
    }

    #[test]
    fn the_next_key_is_shown_and_known_before_it_signs() {
        let (tokens, fresh) = (
            tokens("https://id.example"),
            Tokens::fresh_key().expect("a key"),
        );
        let before = issue(&tokens);
        let (signing, _) = tokens.signing_key().expect("a key");
        let other = Tokens::load("https://id.example", &fresh).expect("tokens");
        let early = issue(&other);
        assert!(tokens.verify_access(&early, NOW).is_err());
        let active = rotated(&other, &fresh).active;
        let keys = |active: Option<SecretBytes>, next| TokenKeys {
            active,
            next,
            ..TokenKeys::default()
        };
        let next = NextTokenKey {
            key_id: Tokens::key_id_of(&fresh).expect("a key"),
            secret: fresh,
            published_at: NOW,
            active_from: NOW + Duration::HOUR,
        };
        tokens
            .follow(&keys(None, Some(next.clone())))
            .expect("nothing");
        assert_eq!(tokens.jwks(NOW).keys.len(), 1, "without an active one");
        let first = Tokens::fresh_key().expect("a key");
        tokens.follow(&keys(Some(first), Some(next))).expect("keys");
        assert_eq!(tokens.jwks(NOW).keys.len(), 2);
        assert!(
            tokens.verify_access(&early, NOW).is_ok(),
            "another replica was faster"
        );
        assert!(
            tokens.verify_access(&before, NOW).is_err(),
            "a key that is no longer known"
        );
        assert_ne!(tokens.signing_key().expect("a key").0, signing);
        tokens.follow(&keys(active, None)).expect("keys");
        assert!(tokens.verify_access(&early, NOW).is_ok());
    }
}
