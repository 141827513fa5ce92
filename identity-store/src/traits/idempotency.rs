use async_trait::async_trait;
use time::OffsetDateTime;

use crate::{IdempotencyKey, Reservation, Result, StoredAnswer};

/// Answers that are kept so that a repeated request gets the same one.
///
/// A request reserves its key, does its work with the answer in the [`Change`](crate::Change), and
/// the answer is committed with the work. What cannot be committed so is stored or released after.
#[async_trait]
pub trait IdempotencyStore: Send + Sync {
    /// Takes a key for a request whose body has this hash. A reservation that was neither answered
    /// nor released counts until `lease_until`; answers are kept until `keep_until`. A key whose
    /// time is over is as good as one never seen; of one that counts, another body is told first.
    async fn reserve(
        &self,
        key: IdempotencyKey,
        body_sha256: [u8; 32],
        now: OffsetDateTime,
        lease_until: OffsetDateTime,
        keep_until: OffsetDateTime,
    ) -> Result<Reservation>;

    /// Keeps the answer of a request that changed nothing, such as a refusal. Where the key is not
    /// reserved until then, or was answered, it does nothing: the first answer stays, and the key another
    /// run's.
    async fn keep_answer(&self, answer: StoredAnswer) -> Result<()>;

    /// Gives a key back unanswered that was reserved until `lease_until`; also when nobody knows whether
    /// it was, since the answer to [`reserve`](Self::reserve) was lost. One that was answered, or
    /// that another request reserved, stays so.
    async fn release(&self, key: IdempotencyKey, lease_until: OffsetDateTime) -> Result<()>;

    /// Gives every key back that is unanswered; returns how many. For a process that has the database
    /// for itself and starts: who reserved them died.
    async fn release_all(&self) -> Result<u64>;

    /// Deletes answers, and reservations never answered, that are past their `keep_until`; returns
    /// how many.
    async fn purge_answers(&self, now: OffsetDateTime) -> Result<u64>;
}
