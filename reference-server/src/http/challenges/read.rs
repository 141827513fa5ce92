use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use identity_challenge::{CancelReason, ChallengeStatus, Refusal};
use identity_pki::TenantId;
use identity_store::{ChallengeId, ChallengeStep, Error, StoredChallenge};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::Wait;
use super::object::ChallengeObject;
use crate::App;
use crate::http::caller::require_active;
use crate::http::{Caller, ErrorCode, Problem, ProblemDocument, Query, RequestContext, Right};
use crate::waiters::Topic;

/// Reads a challenge; with `wait`, when it changes, or when the time is over.
#[utoipa::path(get, path = "/v1/challenges/{challenge_id}", tag = "challenges", security(("bearer" = [])),
    params(("challenge_id" = String, Path), Wait),
    responses(
        (status = 200, description = "The challenge", body = ChallengeObject),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(challenge_id): Path<String>,
    Query(wait): Query<Wait>,
) -> Result<Json<ChallengeObject>, Problem> {
    let tenant_id = caller.tenant(Right::ChallengesRead)?;
    let challenge_id = super::challenge_id(&challenge_id)?;
    let at_most = wait.duration()?;
    let topic = Topic::Challenge(tenant_id.clone(), challenge_id.clone());
    let mut waiter = app.waiters.listen(topic, at_most, &app.shutdown);
    let first = stored(&app, &tenant_id, &challenge_id).await?;
    let mut seen = first.clone();
    while seen == first && !is_over(&seen, app.clock.now()) && waiter.again().await {
        // The tenant may have been suspended meanwhile.
        require_active(&app, &tenant_id).await?;
        seen = stored(&app, &tenant_id, &challenge_id).await?;
    }
    Ok(Json(ChallengeObject::of(seen, app.clock.now())))
}

async fn stored(
    app: &App,
    tenant_id: &TenantId,
    challenge_id: &ChallengeId,
) -> Result<StoredChallenge, Problem> {
    app.store
        .challenge(tenant_id, challenge_id)
        .await?
        .ok_or_else(super::not_found)
}

fn is_over(record: &StoredChallenge, now: OffsetDateTime) -> bool {
    record.challenge.status_at(now).is_terminal()
}

/// A challenge that was withdrawn.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Canceled {
    /// `canceled`.
    #[schema(value_type = String)]
    status: ChallengeStatus,
}

/// Withdraws a challenge.
#[utoipa::path(post, path = "/v1/challenges/{challenge_id}/cancel", tag = "challenges", security(("bearer" = [])),
    params(("challenge_id" = String, Path)),
    responses(
        (status = 200, description = "It is canceled", body = Canceled),
        (status = 409, description = "`challenge_terminal`", body = ProblemDocument),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Path(challenge_id): Path<String>,
) -> Result<Json<Canceled>, Problem> {
    let tenant_id = caller.tenant(Right::ChallengesWrite)?;
    let challenge_id = super::challenge_id(&challenge_id)?;
    let change = context.change(caller.actor());
    let step = ChallengeStep::Cancel(CancelReason::Integrator);
    let record = app
        .store
        .transition_challenge(change, &tenant_id, &challenge_id, step)
        .await
        .map_err(refused)?;
    Ok(Json(Canceled {
        status: record.challenge.status(),
    }))
}

/// To an integrator, an expired challenge has ended like any other; 410 is for the device, whose
/// user has to be told.
fn refused(error: Error) -> Problem {
    match error {
        Error::Challenge(Refusal::Expired { .. }) => {
            Problem::new(ErrorCode::ChallengeTerminal, "The challenge has expired.")
        }
        other => other.into(),
    }
}
