use std::net::IpAddr;

use identity_pki::TenantId;
use serde::Serialize;
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

/// Who an audit row says made the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditActor {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: String,
}

/// An audit row (contract §12).
///
/// `hash = SHA-256(prev_hash ‖ RFC 8785 form of the row without prev_hash and hash)`, the first
/// `prev_hash` of a chain being 32 zero bytes. A row that the sealer has not reached has neither.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditRow {
    /// Its id.
    pub id: AuditId,
    /// When it happened, RFC 3339 with milliseconds and `Z`.
    #[serde(serialize_with = "crate::time_format::serialize")]
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
    /// The hash of the row before.
    #[serde(serialize_with = "hex_option")]
    pub prev_hash: Option<[u8; 32]>,
    /// This row's hash.
    #[serde(serialize_with = "hex_option")]
    pub hash: Option<[u8; 32]>,
}

/// Where a chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHead {
    /// How many rows are sealed.
    pub length: u64,
    /// The hash of the last one; zeros when there is none.
    pub hash: [u8; 32],
}

/// An event for integrators, waiting to be delivered.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxEvent {
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

/// A digest as 64 lower-case hexadecimal digits.
fn hex_option<S: serde::Serializer>(digest: &Option<[u8; 32]>, to: S) -> Result<S::Ok, S::Error> {
    digest.map(hex::encode).serialize(to)
}
