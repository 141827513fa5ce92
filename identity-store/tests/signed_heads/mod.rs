//! Chains whose heads are signed.

#![expect(
    clippy::unwrap_used,
    reason = "a story that goes wrong panics: that is its report"
)]

use identity_store::{AuditStore as _, SignedHead, SqlStore};

/// Gives what waits its place, as the sealer does, and keeps a signature for each head.
pub(crate) async fn seal_and_sign(store: &SqlStore) {
    store.seal_audit(100).await.unwrap();
    let heads = store.unsigned_heads(9).await.unwrap();
    let signed = heads.into_iter().map(|state| SignedHead {
        chain: state.chain,
        head: state.head,
        signature: "a signature".to_owned(),
    });
    store.keep_signed_heads(signed.collect()).await.unwrap();
}
