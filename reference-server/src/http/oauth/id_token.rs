//! ID tokens: what a client learns of a user who authenticated to it (OIDC Core 1.0 §2).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity_store::{ClientId, StoredChallenge};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use crate::tokens::ACCESS_TOKEN_LIFE;

/// The `typ` of an ID token's JWS header.
pub(super) const ID_TOKEN_TYPE: &str = "JWT";

/// The claims that there are, as metadata names them.
pub(super) const CLAIMS: [&str; 10] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "auth_time",
    "amr",
    "at_hash",
    "tenant_id",
    "urn:openid:params:jwt:claim:auth_req_id",
];

/// What an ID token claims.
#[derive(Debug, Serialize)]
pub(super) struct IdTokenClaims<'t> {
    iss: &'t str,
    sub: &'t str,
    aud: &'t str,
    exp: i64,
    iat: i64,
    auth_time: Option<i64>,
    amr: [&'static str; 2],
    at_hash: String,
    /// In which the subject is the user's.
    tenant_id: &'t str,
    #[serde(rename = "urn:openid:params:jwt:claim:auth_req_id")]
    auth_req_id: &'t str,
}

impl<'t> IdTokenClaims<'t> {
    /// The claims about the user whose palm matched at `record`, for the client that asked by `auth_req_id`
    /// and gets `access_token` with them at `now`.
    pub(super) fn of_match(
        issuer: &'t str,
        client_id: &'t ClientId,
        record: &'t StoredChallenge,
        auth_req_id: &'t str,
        access_token: &str,
        now: OffsetDateTime,
    ) -> Self {
        let matched_at = record.challenge.completed_at();
        Self {
            iss: issuer,
            sub: record.user_id.as_str(),
            aud: client_id.as_str(),
            exp: (now + ACCESS_TOKEN_LIFE).unix_timestamp(),
            iat: now.unix_timestamp(),
            auth_time: matched_at.map(OffsetDateTime::unix_timestamp),
            amr: ["palm", "hwk"],
            at_hash: at_hash(access_token),
            tenant_id: record.tenant_id.as_str(),
            auth_req_id,
        }
    }
}

/// The left half of the digest of the token's text (OIDC Core 1.0 §3.1.3.6).
fn at_hash(access_token: &str) -> String {
    let digest = Sha256::digest(access_token);
    URL_SAFE_NO_PAD.encode(digest.split_at(digest.len() / 2).0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use identity_challenge::{Challenge, ChallengeKind, MaxAttempts, Ttl};
    use identity_pki::{DeviceId, TenantId};
    use time::Duration;

    use super::*;

    /// OIDC Core 1.0 appendix A.4: an access token and its hash.
    #[test]
    fn an_access_token_is_hashed_as_in_openid_connect() {
        let hash = at_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y");
        assert_eq!(hash, "77QmUPtjPfzWtF2AnpK9RQ");
    }

    #[test]
    fn the_claims_are_those_that_metadata_names() {
        let now = OffsetDateTime::from_unix_timestamp(1_795_000_000).expect("a time");
        let (attempts, ttl) = (MaxAttempts::default(), Ttl::default());
        let client_id: ClientId = "cli_01jd8z6m3w0000000000000000".parse().expect("an id");
        let record = StoredChallenge {
            tenant_id: TenantId::new("acme").expect("a tenant"),
            challenge_id: "ch_01jd8z6m3w0000000000000000".parse().expect("an id"),
            challenge: Challenge::open(ChallengeKind::Verify, attempts, ttl, now),
            user_id: "ada".parse().expect("an id"),
            internal_user_id: "usr_01jd8z6m3w0000000000000000".parse().expect("an id"),
            device_id: DeviceId::new("dev_1").expect("an id"),
            client_id: Some(client_id.clone()),
            context: "Shop".to_owned(),
            metadata: serde_json::json!({}),
            display: None,
            binding_message: None,
            client_reference: None,
            nonce: "nonce".to_owned(),
            scores: None,
            receipt: None,
        };
        let later = now + Duration::MINUTE;
        let claims =
            IdTokenClaims::of_match("https://id", &client_id, &record, "the id", "a", later);
        let claims = serde_json::to_value(claims).expect("JSON");
        let names: BTreeSet<_> = claims.as_object().expect("claims").keys().collect();
        assert_eq!(names.len(), CLAIMS.len());
        assert!(
            CLAIMS
                .iter()
                .all(|name| names.contains(&(*name).to_owned()))
        );
        assert_eq!(claims["exp"], later.unix_timestamp() + 900);
        assert_eq!(claims["sub"], "ada");
        assert_eq!(claims["aud"], client_id.as_str());
    }
}
