//! What a transaction did before the database rolled it back is in nobody's way when it is done again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::File;
use crate::conformance::{World, stories};
use crate::sql::Shared;
use crate::sql::tx::{Isolation, Tx, Work};

/// Does all of a transaction and rolls it back, for a store that is to.
pub(in crate::sql) async fn rehearse<T>(
    shared: &Arc<Shared>,
    isolation: Isolation,
    work: impl for<'t> FnOnce(&'t mut Tx) -> Work<'t, T>,
) {
    if shared.rehearses.load(Ordering::Relaxed) {
        let mut tx = Tx::begin(shared, isolation).await.unwrap();
        // What it comes to is asked of the second time alone.
        let _ = work(&mut tx).await;
        tx.connection.rollback().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transaction_may_be_done_twice() {
    for story in stories() {
        let file = File::new();
        let store = file.open().await;
        store.shared.rehearses.store(true, Ordering::Relaxed);
        (story.tell)(World::new(store)).await;
    }
}
