//! What an integrator keeps as proof that a user was erased (contract §7).

use identity_store::Erasure;
use serde::Serialize;
use time::OffsetDateTime;

use crate::tokens::{TokenError, Tokens};

/// The `typ` of a receipt's JWS header.
const RECEIPT_TYPE: &str = "erasure-receipt+jwt";

/// A store that holds something of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StoreName {
    /// Templates.
    PalmServer,
    /// Everything else.
    Database,
}

impl StoreName {
    /// Every store, and when it answered that nothing of the user is left there.
    pub(crate) fn answers(erasure: &Erasure) -> [(Self, Option<OffsetDateTime>); 2] {
        [
            (Self::PalmServer, erasure.palm_server_at),
            (Self::Database, erasure.completed_at),
        ]
    }
}

/// What a receipt claims. The user is who the audit trail calls `sub`: nobody is named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ErasureReceipt {
    iss: String,
    /// The tenant.
    aud: String,
    sub: String,
    /// The erasure.
    jti: String,
    iat: i64,
    tenant_id: String,
    requested_at: i64,
    stores: Vec<Answer>,
}

/// What a store answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Answer {
    store: StoreName,
    status: &'static str,
    at: i64,
}

impl ErasureReceipt {
    /// The claims about an erasure that is completed at `now`; `None` while a store has not answered.
    pub(crate) fn of(issuer: &str, erasure: &Erasure, now: OffsetDateTime) -> Option<Self> {
        let tombstone = &erasure.tombstone;
        let completed = Erasure {
            completed_at: Some(now),
            ..erasure.clone()
        };
        let answer = |(store, at): (StoreName, Option<OffsetDateTime>)| {
            Some(Answer {
                store,
                status: "erased",
                at: at?.unix_timestamp(),
            })
        };
        let stores = StoreName::answers(&completed).into_iter().map(answer);
        Some(Self {
            iss: issuer.to_owned(),
            aud: tombstone.tenant_id.to_string(),
            sub: tombstone.internal_id.to_string(),
            jti: tombstone.erasure_id.to_string(),
            iat: now.unix_timestamp(),
            tenant_id: tombstone.tenant_id.to_string(),
            requested_at: erasure.requested_at.unix_timestamp(),
            stores: stores.collect::<Option<_>>()?,
        })
    }

    pub(crate) fn sign(&self, tokens: &Tokens) -> Result<String, TokenError> {
        tokens.sign(RECEIPT_TYPE, self)
    }
}

#[cfg(test)]
mod tests {
    use identity_store::Tombstone;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_receipt_names_each_store_and_its_answer_and_not_the_user() {
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        let mut erasure = Erasure {
            tombstone: Tombstone {
                tenant_id: "acme".parse().unwrap(),
                erasure_id: "era_01jd8z6m3w0000000000000000".parse().unwrap(),
                internal_id: "usr_01jd8z6m3w0000000000000000".parse().unwrap(),
            },
            requested_at: at(100),
            palm_server_at: None,
            completed_at: None,
            receipt: None,
        };
        assert_eq!(ErasureReceipt::of("https://id", &erasure, at(300)), None);
        erasure.palm_server_at = Some(at(200));
        let claims = ErasureReceipt::of("https://id", &erasure, at(300));
        assert_eq!(
            serde_json::to_value(claims).unwrap(),
            json!({
                "iss": "https://id",
                "aud": "acme",
                "sub": "usr_01jd8z6m3w0000000000000000",
                "jti": "era_01jd8z6m3w0000000000000000",
                "iat": 300,
                "tenant_id": "acme",
                "requested_at": 100,
                "stores": [
                    {"store": "palm_server", "status": "erased", "at": 200},
                    {"store": "database", "status": "erased", "at": 300},
                ],
            })
        );
    }
}
