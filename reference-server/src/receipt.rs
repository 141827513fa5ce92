//! Verification receipts: what an integrator keeps as proof that a palm matched (contract §8).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity_pki::Fingerprint;
use identity_store::StoredChallenge;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

/// The `typ` of a receipt's JWS header.
pub const RECEIPT_TYPE: &str = "verification-receipt+jwt";

/// What a receipt claims. It holds no scores and no biometrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReceiptClaims {
    iss: String,
    aud: String,
    sub: String,
    jti: String,
    iat: i64,
    tenant_id: String,
    device_id: String,
    cnf: Confirmation,
    context: String,
    meta_hash: String,
    amr: [&'static str; 2],
    policy_version: String,
    verdict: &'static str,
}

/// The device's certificate, as RFC 8705 §3.1 names one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Confirmation {
    #[serde(rename = "x5t#S256")]
    certificate_sha256: String,
}

impl ReceiptClaims {
    /// The claims about a palm that matched at `now`, decided by `policy_version`, at the device that
    /// holds `certificate`.
    ///
    /// # Errors
    ///
    /// When the metadata has no canonical form (RFC 8785), which is so for numbers that are not
    /// finite alone.
    pub fn of_match(
        issuer: &str,
        record: &StoredChallenge,
        certificate: &Fingerprint,
        policy_version: &str,
        now: OffsetDateTime,
    ) -> Result<Self, serde_json::Error> {
        let metadata = serde_json_canonicalizer::to_vec(&record.metadata)?;
        Ok(Self {
            iss: issuer.to_owned(),
            aud: audience(record),
            sub: record.user_id.to_string(),
            jti: record.challenge_id.to_string(),
            iat: now.unix_timestamp(),
            tenant_id: record.tenant_id.to_string(),
            device_id: record.device_id.to_string(),
            cnf: Confirmation {
                certificate_sha256: URL_SAFE_NO_PAD.encode(certificate.as_bytes()),
            },
            context: record.context.clone(),
            meta_hash: URL_SAFE_NO_PAD.encode(Sha256::digest(&metadata)),
            amr: ["palm", "hwk"],
            policy_version: policy_version.to_owned(),
            verdict: "match",
        })
    }
}

/// The client that asked for the challenge; the tenant, when a console user did.
fn audience(record: &StoredChallenge) -> String {
    match &record.client_id {
        Some(client_id) => client_id.to_string(),
        None => record.tenant_id.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use identity_challenge::{Challenge, ChallengeKind, MaxAttempts, Ttl};
    use identity_pki::{DeviceId, TenantId};
    use serde_json::json;

    use super::*;

    #[test]
    fn the_claims_are_the_contracts() {
        let now = OffsetDateTime::from_unix_timestamp(1_795_000_000).unwrap();
        let record = StoredChallenge {
            tenant_id: TenantId::new("acme").unwrap(),
            challenge_id: "ch_01jd8z6m3w0000000000000000".parse().unwrap(),
            challenge: Challenge::open(
                ChallengeKind::Verify,
                MaxAttempts::default(),
                Ttl::default(),
                now,
            ),
            user_id: "user_456".parse().unwrap(),
            internal_user_id: "usr_01jd8z6m3w0000000000000000".parse().unwrap(),
            device_id: DeviceId::new("dev_789").unwrap(),
            client_id: Some("cli_01jd8z6m3w0000000000000000".parse().unwrap()),
            context: "e_signature".to_owned(),
            metadata: json!({"document_id": "doc_123", "amount": 10.0}),
            display: None,
            binding_message: None,
            client_reference: None,
            nonce: "nonce".to_owned(),
            scores: None,
            receipt: None,
        };
        let certificate = Fingerprint::from_bytes([0xab; 32]);
        let claims = ReceiptClaims::of_match("https://id", &record, &certificate, "1/all", now);
        let canonical = br#"{"amount":10,"document_id":"doc_123"}"#;
        assert_eq!(
            serde_json::to_value(claims.unwrap()).unwrap(),
            json!({
                "iss": "https://id",
                "aud": "cli_01jd8z6m3w0000000000000000",
                "sub": "user_456",
                "jti": "ch_01jd8z6m3w0000000000000000",
                "iat": 1_795_000_000,
                "tenant_id": "acme",
                "device_id": "dev_789",
                "cnf": {"x5t#S256": "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s"},
                "context": "e_signature",
                "meta_hash": URL_SAFE_NO_PAD.encode(Sha256::digest(canonical)),
                "amr": ["palm", "hwk"],
                "policy_version": "1/all",
                "verdict": "match",
            })
        );
    }
}
