use time::OffsetDateTime;

/// Which request an `Idempotency-Key` makes repeatable: its credential, its route and the key itself.
///
/// Only a digest is stored, so that a key that holds something private does not stay behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey(pub [u8; 32]);

/// What came of reserving an [`IdempotencyKey`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reservation {
    /// The key is the caller's now: do the work, and commit its answer with it.
    Fresh,
    /// The request was answered before.
    Answered(StoredAnswer),
    /// The first request is still running.
    InProgress,
    /// The key was used with another body.
    OtherBody,
}

/// The answer to a request, kept to be repeated.
///
/// Some answers show a secret once, so back ends that write to disk encrypt `body`.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The request.
    pub key: IdempotencyKey,
    /// Until when it reserved the key, which tells its run from another's.
    pub lease_until: OffsetDateTime,
    /// HTTP status code.
    pub status: u16,
    /// The JSON body.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for StoredAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredAnswer")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
