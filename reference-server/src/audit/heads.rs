//! Signed heads: the platform's token key vouches for where each chain ended, so that rows that are
//! cut off later are missed. The log takes them out of the database's reach.

use std::collections::{BTreeMap, BTreeSet};

use identity_store::{Chain, ChainHead, ChainState, SignedHead, Store};
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

/// Signs where chains end, while this replica holds the sealer's lease. It outlives the lease.
#[derive(Debug, Default)]
pub(crate) struct HeadSigner {
    /// What it signed last of each chain: the database may be made to forget it.
    signed: BTreeMap<Chain, ChainHead>,
    /// Heads that are still to be logged: the newest of each chain.
    unlogged: BTreeMap<Chain, SignedHead>,
    /// Chains that no longer hold what was signed.
    refused: BTreeSet<Chain>,
}

impl HeadSigner {
    /// Logs the heads that were signed since.
    pub(crate) fn log(&mut self) {
        for head in std::mem::take(&mut self.unlogged).into_values() {
            let tenant_id = head.chain.tenant_id().map(ToString::to_string);
            let signed = head.signature;
            tracing::info!(tenant_id, length = head.head.length, signed, "audit head");
        }
    }

    /// Signs and keeps the heads of all chains that grew, each if it continues what was signed before:
    /// none while the signing key is lost.
    ///
    /// # Errors
    ///
    /// As the store's, and when the key fails; what was signed before it is kept.
    pub(crate) async fn sign_grown(
        &mut self,
        app: &App,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let Some(tokens) = app.secrets.tokens.usable() else {
            return Ok(());
        };
        loop {
            let grown = app.store.unsigned_heads(PAGE).await?;
            let all = grown.len() < usize::try_from(PAGE)?;
            let mut signed = Vec::new();
            for state in grown {
                if self.continues(&*app.store, tokens, &state).await? {
                    let now = app.clock.now();
                    signed.push(sign(tokens, state.chain, state.head, now)?);
                } else {
                    self.refuse(state.chain);
                }
            }
            if signed.is_empty() {
                return Ok(());
            }
            app.store.keep_signed_heads(signed.clone()).await?;
            for head in signed {
                self.signed.insert(head.chain.clone(), head.head);
                self.unlogged.insert(head.chain.clone(), head);
            }
            if all {
                return Ok(());
            }
        }
    }

    /// Whether a chain still holds the head that was signed last, here or by the replica before.
    async fn continues(
        &self,
        store: &dyn Store,
        tokens: &Tokens,
        state: &ChainState,
    ) -> identity_store::Result<bool> {
        let kept = match &state.signed {
            None => None,
            Some(signed) => match read(tokens, &signed.signature) {
                Ok((chain, head)) if chain == state.chain => Some(head),
                Ok(_) | Err(_) => return Ok(false),
            },
        };
        let remembered = self.signed.get(&state.chain).copied();
        let Some(last) = kept.max(remembered) else {
            return Ok(true);
        };
        if state.head.length <= last.length {
            return Ok(state.head == last);
        }
        let next = store.sealed_audit(&state.chain, last.length, 1).await?;
        Ok(next.first().is_some_and(|row| {
            row.position == last.length.saturating_add(1) && row.prev_hash == last.hash
        }))
    }

    fn refuse(&mut self, chain: Chain) {
        metrics::counter!("audit_heads_refused_total").increment(1);
        if self.refused.insert(chain.clone()) {
            tracing::error!(%chain, "the audit chain lacks rows whose head was signed: its head is signed no more");
        }
    }
}

#[cfg(test)]
mod tests {
    use identity_store::{Actor, AuditStore as _, Change, Event, MemoryStore};

    use super::*;
    use crate::clock::entropy;

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

    /// A store whose platform chain has this many rows.
    async fn chain_of(rows: u64) -> MemoryStore {
        let store = MemoryStore::new(entropy());
        grow(&store, rows).await;
        store
    }

    async fn grow(store: &MemoryStore, rows: u64) {
        for _ in 0..rows {
            let change = Change::new(NOW, Actor::System("test"), "req");
            let recorded = store.record(change, Chain::Platform, vec![Event::PairingRefused]);
            recorded.await.expect("recorded");
        }
        store.seal_audit(100).await.expect("sealed");
    }

    async fn state(store: &MemoryStore) -> ChainState {
        let chains = store.chains(None, 1).await.expect("chains");
        chains.into_iter().next().expect("the platform's")
    }

    #[tokio::test]
    async fn a_chain_that_was_cut_off_is_signed_no_more_though_the_database_forgot_its_signature() {
        let tokens = tokens();
        let whole = chain_of(6).await;
        let signed = |head| HeadSigner {
            signed: BTreeMap::from([(Chain::Platform, head)]),
            ..HeadSigner::default()
        };
        let signer = signed(state(&whole).await.head);
        let continues = async |store: &MemoryStore, state: &ChainState| {
            signer.continues(store, &tokens, state).await.expect("read")
        };
        assert!(continues(&whole, &state(&whole).await).await, "unchanged");
        for rows in [2, 6, 9] {
            // Other rows, as many as are left, or more of them.
            let cut = chain_of(rows).await;
            let state = state(&cut).await;
            assert_eq!(state.signed, None);
            assert!(!continues(&cut, &state).await, "{rows}");
        }
    }

    #[tokio::test]
    async fn a_replica_that_takes_over_signs_on_from_the_signature_that_it_finds() {
        let (ours, theirs) = (tokens(), tokens());
        let store = chain_of(3).await;
        let head = state(&store).await.head;
        let fresh = HeadSigner::default();
        assert!(
            fresh
                .continues(&store, &ours, &state(&store).await)
                .await
                .expect("read")
        );
        let kept = sign(&ours, Chain::Platform, head, NOW).expect("signed");
        store.keep_signed_heads(vec![kept]).await.expect("kept");
        grow(&store, 1).await;
        let grown = state(&store).await;
        assert!(fresh.continues(&store, &ours, &grown).await.expect("read"));
        assert!(
            !fresh
                .continues(&store, &theirs, &grown)
                .await
                .expect("read")
        );
    }
}
