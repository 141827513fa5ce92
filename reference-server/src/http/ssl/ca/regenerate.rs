use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use identity_pki::Fingerprint;
use identity_store::{CaState, JobWork};
use serde::Deserialize;
use utoipa::ToSchema;

use super::MadeCa;
use crate::http::jobs::{self, StartedJob};
use crate::http::{
    Answer, Caller, ErrorCode, JsonBody, Problem, ProblemDocument, RequestContext, Right,
    idempotency,
};
use crate::{App, authority};

/// Which CA this is the end of.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RegenerateCa {
    /// The fingerprint of the CA that issues now.
    confirm: Option<String>,
}

/// Whose devices are revoked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RevokeDevicesOfCa {
    /// The fingerprint of the CA that a regeneration tainted.
    confirm: Option<String>,
}

/// Makes a CA in the place of the one that issues, whose key may be known: that one is tainted, and
/// never issues again. Its devices go on working until they are revoked, in a second step.
#[utoipa::path(
    post, path = "/v1/admin/ssl/ca-cert/regenerate", tag = "TLS", security(("bearer" = [])),
    request_body = RegenerateCa, params(("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 201, description = "The new CA.", body = MadeCa),
        (status = 409, description = "`regenerate_confirm_required`", body = ProblemDocument),
    ),
)]
pub(super) async fn regenerate(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: RequestContext,
    body: JsonBody<RegenerateCa>,
) -> Result<Response, Problem> {
    caller.platform(Right::Tls)?;
    let actor = caller.actor();
    let sha256 = body.sha256();
    let what = "the CA that issues now, which will be tainted";
    let confirmed = confirmed(body.value.confirm.as_deref(), what)?;
    let (app, request, actor) = (&app, &request, &actor);
    let response = idempotency::run(app, request, actor, sha256, |keep| async move {
        let clock_skew = app.store.device_policy().await?.clock_skew();
        let made = authority::generate(request.now, clock_skew, CaState::Active);
        let (record, key) = made.map_err(Problem::internal)?;
        let answer = Answer::created(&MadeCa::of(&record))?;
        let change = keep.answer(request.change(actor.clone()), &answer);
        let regenerated = app.store.regenerate_ca(change, &confirmed, record, key);
        regenerated.await?;
        Ok(answer)
    })
    .await?;
    app.reload_certificates().await.map_err(Problem::internal)?;
    Ok(response)
}

/// Revokes every device, of all tenants, that has a certificate of a tainted CA, and takes the CA out
/// of the trust bundle in the end: a job.
#[utoipa::path(
    post, path = "/v1/admin/ssl/ca-cert/regenerate/revoke-devices", tag = "TLS",
    security(("bearer" = [])), request_body = RevokeDevicesOfCa,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 202, description = "The job.", body = StartedJob),
        (status = 409, description = "`regenerate_confirm_required`", body = ProblemDocument),
    ),
)]
pub(super) async fn revoke_devices(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: RequestContext,
    body: JsonBody<RevokeDevicesOfCa>,
) -> Result<Response, Problem> {
    caller.platform(Right::Tls)?;
    let actor = caller.actor();
    let what = "the tainted CA whose devices are to be revoked";
    let ca = confirmed(body.value.confirm.as_deref(), what)?;
    let (app, request) = (&app, &request);
    idempotency::run(app, request, &actor, body.sha256(), |keep| async move {
        let work = JobWork::RevokeCa { ca };
        let started = jobs::start(app, request, keep, caller.actor(), work).await;
        started.map_err(|problem| match problem.code() {
            ErrorCode::NotFound => unconfirmed(what),
            _ => problem,
        })
    })
    .await
}

/// The CA that was named, if one was.
fn confirmed(confirm: Option<&str>, what: &str) -> Result<Fingerprint, Problem> {
    let named = confirm.and_then(|text| text.parse().ok());
    named.ok_or_else(|| unconfirmed(what))
}

fn unconfirmed(what: &str) -> Problem {
    Problem::new(
        ErrorCode::RegenerateConfirmRequired,
        format!("Send as `confirm` the fingerprint of {what}."),
    )
}
