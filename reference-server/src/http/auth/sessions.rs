use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use identity_store::{Session, SessionId, rfc3339};
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;
use crate::http::{Caller, List, PathId, Problem, ProblemDocument, RequestContext};

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionBody {
    id: String,
    created_at: String,
    last_used_at: String,
    expires_at: String,
    /// Whether it is the one that asks.
    current: bool,
}

impl SessionBody {
    fn of(session: &Session, current: &SessionId) -> Self {
        Self {
            id: session.session_id.to_string(),
            created_at: rfc3339(session.created_at),
            last_used_at: rfc3339(session.last_used_at),
            expires_at: rfc3339(session.expires_at),
            current: session.session_id == *current,
        }
    }
}

/// Lists the sessions of the user who asks.
#[utoipa::path(
    get, path = "/v1/auth/sessions", tag = "sign-in", security(("bearer" = [])),
    responses((status = 200, description = "The sessions.", body = List<SessionBody>)),
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: RequestContext,
) -> Result<Json<List<SessionBody>>, Problem> {
    let own = &caller.console()?.session;
    let sessions = app
        .store
        .sessions(&own.operator.operator_id, request.now)
        .await?;
    let data = sessions
        .iter()
        .map(|session| SessionBody::of(session, &own.session_id))
        .collect();
    Ok(Json(List {
        data,
        next_cursor: None,
    }))
}

/// Ends a session of the user who asks.
#[utoipa::path(
    delete, path = "/v1/auth/sessions/{id}", tag = "sign-in", security(("bearer" = [])),
    params(("id" = String, Path, description = "The session.")),
    responses(
        (status = 204, description = "Ended."),
        (status = 404, description = "`not_found`", body = ProblemDocument),
    ),
)]
pub(super) async fn end(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: RequestContext,
    PathId(id): PathId<SessionId>,
) -> Result<StatusCode, Problem> {
    let operator_id = &caller.console()?.session.operator.operator_id;
    app.store
        .end_session(request.change(caller.actor()), operator_id, &id)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
