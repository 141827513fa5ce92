use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use identity_pki::TenantId;
use identity_store::{Chain, ChainState};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};

use crate::App;
use crate::audit::verify::{self, VerifyError};
use crate::http::{Caller, ErrorCode, Problem, ProblemDocument, Query, RequestContext};

/// How many chains are verified at once: each reads a whole chain. The others wait.
#[derive(Debug)]
pub struct Verifications(Semaphore);

impl Default for Verifications {
    fn default() -> Self {
        Self(Semaphore::new(2))
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct VerifyQuery {
    /// Of this tenant: for the platform's administrators, and audited.
    #[param(value_type = Option<String>)]
    tenant_id: Option<TenantId>,
}

/// Whether an audit trail is whole.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditVerification)]
pub(super) struct Verification {
    /// Whether every row is the one that was sealed in its place, and signed.
    ok: bool,
    /// How many rows from the first one on are right.
    checked: u64,
    /// The first row that is wrong, if one that is there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_bad_id: Option<String>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The hash of the last row, in hexadecimal; zeros when there is none.
    head: String,
    /// How many rows had no place in the chain before it was read: those of the last second or so.
    unsealed: u64,
}

/// Verifies an audit trail from its first row to its last: the live rows, and the archives where the
/// server has their folder.
#[utoipa::path(get, path = "/v1/audit/verify", tag = "audit", security(("bearer" = [])), params(VerifyQuery), responses(
    (status = 200, description = "Whether it is whole", body = Verification),
    (status = 503, description = "`unavailable`: pieces are archived where this server does not find them", body = ProblemDocument),
    (status = "4XX", body = ProblemDocument),
))]
pub(super) async fn verify(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Query(query): Query<VerifyQuery>,
) -> Result<Json<Verification>, Problem> {
    let chain = super::readable(&app, &context, &caller, query.tenant_id).await?;
    let turn = app.verifications.0.acquire().await;
    let _turn = turn.map_err(Problem::internal)?;
    // Counted first: a row sealed meanwhile is then among both, and none among neither.
    let unsealed = app.store.unsealed_audit(Some(&chain)).await?;
    let state = app.store.chain_state(&chain).await?;
    let verified = walk(&app, state).await;
    match verified {
        Ok(verified) => Ok(Json(Verification {
            ok: true,
            checked: verified.head.length,
            first_bad_id: None,
            reason: None,
            head: hex::encode(verified.head.hash),
            unsealed,
        })),
        Err(error) if error.is_finding() => {
            let (checked, first_bad_id) = found(&error);
            let head = app.store.chain_head(&chain).await?;
            Ok(Json(Verification {
                ok: false,
                checked,
                first_bad_id,
                reason: Some(error.to_string()),
                head: hex::encode(head.hash),
                unsealed,
            }))
        }
        Err(VerifyError::Store(error)) => Err(error.into()),
        Err(error) => Err(no_archives(&chain, error)),
    }
}

async fn walk(app: &App, state: ChainState) -> Result<verify::Verified, VerifyError> {
    let tokens = app.secrets.tokens.usable();
    let folder = app.config.audit.archives.as_deref();
    // What is newer than a walk's beginning may still be unsigned.
    let now = app.clock.now();
    verify::verify(&*app.store, tokens, folder, state, Vec::new(), now).await
}

/// How many rows are right, and the first that is wrong.
fn found(error: &VerifyError) -> (u64, Option<String>) {
    match error {
        VerifyError::Broken(broken) | VerifyError::Archive { broken, .. } => {
            let id = broken.row.as_ref().map(ToString::to_string);
            (broken.position.saturating_sub(1), id)
        }
        VerifyError::Unsigned { position, .. } => (position.saturating_sub(1), None),
        VerifyError::Piece { .. }
        | VerifyError::Manifest { .. }
        | VerifyError::NoFolder(_)
        | VerifyError::Signature { .. }
        | VerifyError::Store(_) => (0, None),
    }
}

fn no_archives(chain: &Chain, error: VerifyError) -> Problem {
    let detail = format!(
        "Pieces of {chain} are archived, and this server does not find them: IDENTITY_AUDIT_ARCHIVES has \
         to name their folder."
    );
    Problem::new(ErrorCode::Unavailable, detail).because(error)
}
