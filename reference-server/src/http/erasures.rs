//! Erasures of users (contract §7).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use identity_store::{Erasure, ErasureId};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Caller, PathId, Problem, ProblemDocument, Right, Timestamp};
use crate::App;
use crate::erasure::StoreName;

/// The routes of this module.
pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(read))
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ErasureStatus {
    Running,
    Completed,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StepStatus {
    /// The store is to be asked, or has not answered.
    Waiting,
    /// Nothing of the user is left there.
    Erased,
}

/// What one store does.
#[derive(Debug, Serialize, ToSchema)]
struct ErasureStep {
    /// `palm_server` or `database`.
    #[schema(value_type = String)]
    store: StoreName,
    #[schema(inline)]
    status: StepStatus,
    /// When it answered.
    at: Option<Timestamp>,
}

impl ErasureStep {
    fn of((store, at): (StoreName, Option<time::OffsetDateTime>)) -> Self {
        Self {
            store,
            status: match at {
                None => StepStatus::Waiting,
                Some(_) => StepStatus::Erased,
            },
            at: at.map(Timestamp),
        }
    }
}

/// How far the erasure of a user is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Erasure)]
struct ErasureObject {
    #[schema(value_type = String)]
    erasure_id: ErasureId,
    #[schema(inline)]
    status: ErasureStatus,
    requested_at: Timestamp,
    completed_at: Option<Timestamp>,
    steps: Vec<ErasureStep>,
    /// Once it is completed: a compact JWS of the platform's key (type `erasure-receipt+jwt`) that names
    /// each store and when it answered, and of the user the internal id alone, as the audit trail
    /// does.
    receipt: Option<String>,
}

impl From<Erasure> for ErasureObject {
    fn from(erasure: Erasure) -> Self {
        Self {
            status: match erasure.completed_at {
                None => ErasureStatus::Running,
                Some(_) => ErasureStatus::Completed,
            },
            requested_at: Timestamp(erasure.requested_at),
            completed_at: erasure.completed_at.map(Timestamp),
            steps: StoreName::answers(&erasure)
                .into_iter()
                .map(ErasureStep::of)
                .collect(),
            erasure_id: erasure.tombstone.erasure_id,
            receipt: erasure.receipt,
        }
    }
}

/// Reads an erasure. It stays for good.
#[utoipa::path(get, path = "/v1/erasures/{erasure_id}", tag = "users", security(("bearer" = [])),
    params(("erasure_id" = String, Path)),
    responses(
        (status = 200, description = "The erasure", body = ErasureObject),
        (status = "4XX", body = ProblemDocument),
    )
)]
async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(erasure_id): PathId<ErasureId>,
) -> Result<Json<ErasureObject>, Problem> {
    let tenant_id = caller.tenant(Right::UsersDelete)?;
    let erasure = app.store.erasure(&tenant_id, &erasure_id).await?;
    let erasure = erasure.ok_or_else(|| Problem::not_found("erasure"))?;
    Ok(Json(erasure.into()))
}
