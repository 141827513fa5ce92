use std::net::IpAddr;

use identity_pki::TenantId;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Outcome, Severity};
use crate::{AuditId, EventId};

/// Which hash chain an audit row belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Chain {
    /// The platform's own.
    Platform,
    /// A tenant's.
    Tenant(TenantId),
}

impl Chain {
    /// The tenant, if it is a tenant's.
    #[must_use]
    pub fn tenant_id(&self) -> Option<&TenantId> {
        match self {
            Self::Platform => None,
            Self::Tenant(tenant_id) => Some(tenant_id),
        }
    }
}

impl std::fmt::Display for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Platform => f.write_str("the platform's chain"),
            Self::Tenant(tenant_id) => write!(f, "the chain of tenant {}", tenant_id.as_str()),
        }
    }
}

/// Who an audit row says made the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditActor {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: String,
}

/// An audit row (contract §12): what happened, without its place in a chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRow {
    /// Its id.
    pub id: AuditId,
    /// When it happened, RFC 3339 with milliseconds and `Z`.
    #[serde(with = "crate::time_format")]
    pub at: OffsetDateTime,
    /// The tenant; `null` in the platform's chain.
    pub tenant_id: Option<TenantId>,
    /// Who did it.
    pub actor: AuditActor,
    /// What was done: an [`Event`](super::Event)'s name.
    pub action: String,
    /// Whether it succeeded.
    pub outcome: Outcome,
    /// How much it matters.
    pub severity: Severity,
    /// What it was done to.
    pub subject: String,
    /// The request.
    pub request_id: String,
    /// Where the request came from.
    pub ip: Option<IpAddr>,
    /// The event's own fields.
    pub metadata: serde_json::Value,
}

impl AuditRow {
    /// The chain that it belongs to.
    #[must_use]
    pub fn chain(&self) -> Chain {
        match &self.tenant_id {
            Some(tenant_id) => Chain::Tenant(tenant_id.clone()),
            None => Chain::Platform,
        }
    }
}

/// Which rows of a chain to read. What is `None` leaves nothing out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Done by the actor of this id.
    pub actor: Option<String>,
    /// Of this action: an [`Event`](super::Event)'s name.
    pub action: Option<String>,
    /// About this subject.
    pub subject: Option<String>,
    /// That matter this much.
    pub severity: Option<Severity>,
    /// That happened at this moment or later.
    pub from: Option<OffsetDateTime>,
    /// That happened before this moment.
    pub to: Option<OffsetDateTime>,
}

/// An audit row in its place in its chain.
///
/// `hash = SHA-256(prev_hash ‖ RFC 8785 form of the row without prev_hash and hash)`, the first
/// `prev_hash` of a chain being 32 zero bytes. [`to_json`](Self::to_json) is how it is exported.
#[derive(Debug, Clone, PartialEq)]
pub struct SealedRow {
    /// Its place, from 1. An export does not tell it: there the order of the lines does.
    pub position: u64,
    /// What happened.
    pub row: AuditRow,
    /// The hash of the row before.
    pub prev_hash: [u8; 32],
    /// This row's hash.
    pub hash: [u8; 32],
}

/// Where a chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChainHead {
    /// How many rows are sealed.
    pub length: u64,
    /// The hash of the last one; zeros when there is none.
    pub hash: [u8; 32],
}

impl ChainHead {
    /// The head of a chain without rows.
    pub const EMPTY: Self = Self {
        length: 0,
        hash: [0; 32],
    };
}

/// A chain as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainState {
    /// Which chain.
    pub chain: Chain,
    /// Where it ends.
    pub head: ChainHead,
    /// The head that was signed last.
    pub signed: Option<SignedHead>,
}

/// A chain's head with somebody's signature over it, so that cutting off the newest rows is found.
/// The store keeps the signature and does not read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHead {
    /// Which chain.
    pub chain: Chain,
    /// Its head when it was signed.
    pub head: ChainHead,
    /// The signature: the server's is a compact JWS (RFC 7515 §7.1).
    pub signature: String,
}

/// How many rows one turn of the sealer gave their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// Audit rows.
    pub rows: u64,
    /// Events of the outbox.
    pub events: u64,
}

impl Sealed {
    /// Whether there may be more than the `limit` that the turn was given.
    #[must_use]
    pub fn is_full(&self, limit: u32) -> bool {
        self.rows.max(self.events) >= u64::from(limit)
    }
}

/// An event for integrators, waiting to be delivered.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxEvent {
    /// Its place among all events, from 1 without a gap: where a delivery goes on.
    pub position: u64,
    /// Its id.
    pub event_id: EventId,
    /// The tenant; `None` for a platform event.
    pub tenant_id: Option<TenantId>,
    /// Its dotted name, such as `verification.complete`.
    pub event_type: String,
    /// What it is about.
    pub subject: String,
    /// Its place among the events of the subject, from 1.
    pub sequence: u64,
    /// When it happened.
    pub at: OffsetDateTime,
    /// Its data: no biometrics.
    pub data: serde_json::Value,
}
