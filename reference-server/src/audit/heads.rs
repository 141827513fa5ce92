//! Signed heads: the platform's token key vouches for where each chain ended, so that rows that are
//! cut off later are missed. The log takes them out of the database's reach.

use std::collections::BTreeMap;

use identity_store::{Chain, ChainHead, SignedHead};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::PAGE;
use crate::App;
use crate::tokens::{TokenError, Tokens};

/// The `typ` of a signed head's JWS header.
pub const HEAD_TYPE: &str = "audit-head+jwt";

/// What a signed head claims.
#[derive(Debug, Serialize, Deserialize)]
struct HeadClaims {
    iss: String,
    iat: i64,
    /// `null` for the platform's chain.
    tenant_id: Option<String>,
    length: u64,
    hash: String,
}

/// Signs the head of `chain`.
///
/// # Errors
///
/// [`TokenError::Jwt`] when the key fails.
pub fn sign(
    tokens: &Tokens,
    chain: Chain,
    head: ChainHead,
    now: OffsetDateTime,
) -> Result<SignedHead, TokenError> {
    let claims = HeadClaims {
        iss: tokens.issuer().to_owned(),
        iat: now.unix_timestamp(),
        tenant_id: chain.tenant_id().map(ToString::to_string),
        length: head.length,
        hash: hex::encode(head.hash),
    };
    Ok(SignedHead {
        signature: tokens.sign(HEAD_TYPE, &claims)?,
        chain,
        head,
    })
}

/// Reads a signed head, whoever kept it: which chain it speaks of, and its head.
///
/// # Errors
///
/// [`TokenError`] when the platform's key did not sign it, or not as a head.
pub fn read(tokens: &Tokens, signature: &str) -> Result<(Chain, ChainHead), TokenError> {
    let claims: HeadClaims = tokens.verify(HEAD_TYPE, signature)?;
    let chain = match claims.tenant_id {
        None => Chain::Platform,
        Some(id) => Chain::Tenant(id.parse().map_err(|_| TokenError::Claim("tenant_id"))?),
    };
    let mut head = ChainHead {
        length: claims.length,
        hash: [0; 32],
    };
    hex::decode_to_slice(&claims.hash, &mut head.hash).map_err(|_| TokenError::Claim("hash"))?;
    Ok((chain, head))
}

/// Heads that were signed and are still to be logged: the newest of each chain.
#[derive(Debug, Default)]
pub(crate) struct Unlogged(BTreeMap<Chain, SignedHead>);

impl Unlogged {
    /// Logs them.
    pub(crate) fn log(&mut self) {
        for head in std::mem::take(&mut self.0).into_values() {
            let tenant_id = head.chain.tenant_id().map(ToString::to_string);
            let signed = head.signature;
            tracing::info!(tenant_id, length = head.head.length, signed, "audit head");
        }
    }
}

/// Signs and keeps the heads of all chains that grew.
///
/// # Errors
///
/// As the store's, and when the key fails; what was signed before it is kept.
pub(crate) async fn sign_grown(
    app: &App,
    unlogged: &mut Unlogged,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    loop {
        let grown = app.store.unsigned_heads(PAGE).await?;
        let all = grown.len() < usize::try_from(PAGE)?;
        let now = app.clock.now();
        let signed = grown
            .into_iter()
            .map(|(chain, head)| sign(&app.tokens, chain, head, now));
        let signed = signed.collect::<Result<Vec<_>, _>>()?;
        if !signed.is_empty() {
            app.store.keep_signed_heads(signed.clone()).await?;
        }
        let newest = signed.into_iter().map(|head| (head.chain.clone(), head));
        unlogged.0.extend(newest);
        if all {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-22 12:00 UTC);
    const HEAD: ChainHead = ChainHead {
        length: 17,
        hash: [0xab; 32],
    };

    fn tokens() -> Tokens {
        let key = Tokens::fresh_key().expect("key");
        Tokens::load("https://id.example", &key).expect("tokens")
    }

    #[test]
    fn a_head_is_read_back_under_the_platforms_key_alone() {
        let (ours, theirs) = (tokens(), tokens());
        for chain in [Chain::Platform, Chain::Tenant("acme".parse().expect("id"))] {
            let signed = sign(&ours, chain.clone(), HEAD, NOW).expect("signed");
            assert_eq!(read(&ours, &signed.signature).expect("ours"), (chain, HEAD));
            assert!(read(&theirs, &signed.signature).is_err());
        }
    }

    #[test]
    fn nothing_else_that_the_key_signs_is_a_head() {
        let tokens = tokens();
        let claims = serde_json::json!({
            "iss": "x", "iat": 0, "tenant_id": null, "length": 1, "hash": "00".repeat(32),
        });
        let other = tokens.sign("at+jwt", &claims).expect("signed");
        assert!(matches!(read(&tokens, &other), Err(TokenError::Type)));
        let head = tokens.sign(HEAD_TYPE, &claims).expect("signed");
        assert_eq!(read(&tokens, &head).expect("a head").1.length, 1);
    }
}
