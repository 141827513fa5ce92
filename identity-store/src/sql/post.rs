//! What every change writes beside its data: audit rows, outbox rows, the answer to keep.

use std::slice;

use super::fault::Step;
use super::idempotency;
use super::tx::ChangeTx;
use crate::posting::posting;
use crate::{Chain, Event};

/// The tenant's column of a chain: '' in the platform's.
pub(super) fn chain_column(chain: &Chain) -> &str {
    chain.tenant_id().map_or("", |tenant_id| tenant_id.as_str())
}

impl ChangeTx<'_> {
    /// Tells `event` in `chain` and to those who subscribe to it.
    pub(super) async fn post(&mut self, chain: &Chain, event: &Event) -> Step<()> {
        let posting = posting(&self.change, chain, event, &self.tx.shared.entropy);
        self.tx.post_all(slice::from_ref(&posting)).await
    }

    /// Keeps the change's answer, if it has one, for a repetition of its request.
    pub(super) async fn keep_answer(&mut self) -> Step<()> {
        match self.change.answer.take() {
            Some(answer) => idempotency::answer_with_work(self.tx, &answer).await,
            None => Ok(()),
        }
    }
}
