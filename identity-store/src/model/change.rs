use std::net::IpAddr;

use time::OffsetDateTime;

use super::{Actor, Lease, StoredAnswer};

/// The circumstances of a state change. Each is written into the audit row of the change, in the
/// transaction that makes it.
#[derive(Debug, Clone)]
pub struct Change {
    /// When, to the millisecond: finer parts are cut off by every back end.
    pub at: OffsetDateTime,
    /// Who.
    pub actor: Actor,
    /// The request that asked for it, or the job's run.
    pub request_id: String,
    /// Where the request came from.
    pub source: Option<IpAddr>,
    /// The answer to keep for a repetition of the request: committed if and only if the change is.
    pub answer: Option<StoredAnswer>,
    /// The lease that the change is made under: it commits only while no other replica has had it
    /// since.
    pub lease: Option<Lease>,
}

impl Change {
    /// A change that `actor` makes at `at`, under `request_id`.
    #[must_use]
    pub fn new(at: OffsetDateTime, actor: Actor, request_id: impl Into<String>) -> Self {
        Self {
            at,
            actor,
            request_id: request_id.into(),
            source: None,
            answer: None,
            lease: None,
        }
    }

    /// With the address that the request came from.
    #[must_use]
    pub fn from_source(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// With the answer to repeat when the request is repeated.
    #[must_use]
    pub fn answering(mut self, answer: StoredAnswer) -> Self {
        self.answer = Some(answer);
        self
    }

    /// As work that a lease is the right to.
    #[must_use]
    pub fn under(mut self, lease: Lease) -> Self {
        self.lease = Some(lease);
        self
    }
}
