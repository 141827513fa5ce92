//! The audit row of the contract (§12).

use std::net::IpAddr;

use identity_pki::TenantId;
use identity_store::{AuditActor, AuditRow, Outcome, SealedRow, Severity};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::http::Timestamp;

/// What happened, in its place in the hash chain.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditRow)]
pub(super) struct AuditRowObject {
    id: String,
    at: Timestamp,
    /// `null` in the platform's chain.
    #[schema(value_type = Option<String>)]
    tenant_id: Option<TenantId>,
    actor: ActorObject,
    /// What was done.
    action: String,
    /// `succeeded` or `failed`.
    #[schema(value_type = String)]
    outcome: Outcome,
    /// `info`, `high` or `critical`.
    #[schema(value_type = String)]
    severity: Severity,
    /// What it was done to: an id. A user's is the internal one.
    subject: String,
    request_id: String,
    #[schema(value_type = Option<String>)]
    ip: Option<IpAddr>,
    /// The action's own fields.
    #[schema(value_type = Object)]
    metadata: Value,
    /// The hash of the row before, in hexadecimal.
    prev_hash: String,
    /// SHA-256 of `prev_hash` and the RFC 8785 form of the row without the two hashes.
    hash: String,
}

/// Who did it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditActor)]
struct ActorObject {
    /// `device`, `client`, `operator`, `anonymous` or `system`.
    r#type: String,
    id: String,
}

impl From<SealedRow> for AuditRowObject {
    fn from(sealed: SealedRow) -> Self {
        let AuditRow {
            id,
            at,
            tenant_id,
            actor: AuditActor { kind, id: actor_id },
            action,
            outcome,
            severity,
            subject,
            request_id,
            ip,
            metadata,
        } = sealed.row;
        Self {
            id: id.to_string(),
            at: Timestamp(at),
            tenant_id,
            actor: ActorObject {
                r#type: kind,
                id: actor_id,
            },
            action,
            outcome,
            severity,
            subject,
            request_id,
            ip,
            metadata,
            prev_hash: hex::encode(sealed.prev_hash),
            hash: hex::encode(sealed.hash),
        }
    }
}
