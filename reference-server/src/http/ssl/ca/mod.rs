//! The platform's CAs: the one that issues device certificates, those before it, the one after it.

mod regenerate;
mod rotate;
mod upload;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use identity_pki::{CaCertificate, days_remaining};
use identity_store::{CaOrigin, CaRecord, CaState, rfc3339};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::{
    Answer, Caller, JsonBody, Problem, ProblemDocument, RequestContext, Right, idempotency,
};
use crate::{App, authority};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(read, upload::upload))
        .routes(routes!(generate))
        .routes(routes!(rotate::activate))
        .routes(routes!(rotate::retire))
        .routes(routes!(regenerate::regenerate))
        .routes(routes!(regenerate::revoke_devices))
}

#[derive(Debug, Serialize, ToSchema)]
struct CaBody {
    subject: String,
    expires_at: String,
    days_remaining: i64,
    fingerprint: String,
    public_cert_pem: String,
    previous: Vec<OtherCa>,
}

/// A CA that does not issue.
#[derive(Debug, Serialize, ToSchema)]
struct OtherCa {
    fingerprint: String,
    subject: String,
    #[schema(value_type = String)]
    state: CaState,
    expires_at: String,
    /// How many devices still act with one of its certificates.
    active_devices: u64,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GenerateCa {
    /// Whether it issues from now on; otherwise it is prepared, and trusted.
    #[serde(default = "yes")]
    activate: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Serialize, ToSchema)]
struct MadeCa {
    fingerprint: String,
    expires_at: String,
    public_cert_pem: String,
}

impl MadeCa {
    fn of(ca: &CaRecord) -> Self {
        Self {
            fingerprint: ca.fingerprint.to_string(),
            expires_at: rfc3339(ca.not_after),
            public_cert_pem: ca.certificate_pem.clone(),
        }
    }
}

/// The CA that issues device certificates, and the others.
#[utoipa::path(
    get, path = "/v1/admin/ssl/ca-cert", tag = "TLS", security(("bearer" = [])),
    responses(
        (status = 200, description = "The CA.", body = CaBody),
        (status = 404, description = "`not_found`: there is none yet.", body = ProblemDocument),
    ),
)]
async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: RequestContext,
) -> Result<Json<CaBody>, Problem> {
    caller.platform(Right::Tls)?;
    let (active, others): (Vec<_>, Vec<_>) = app
        .store
        .cas()
        .await?
        .into_iter()
        .partition(|ca| ca.state == CaState::Active);
    let active = active
        .first()
        .ok_or_else(|| Problem::not_found("platform CA"))?;
    let active_devices = if others.is_empty() {
        BTreeMap::new()
    } else {
        app.store.active_devices(request.now).await?
    };
    let previous = others.iter().map(|ca| {
        let active_devices = active_devices.get(&ca.fingerprint);
        OtherCa::of(ca, active_devices.copied().unwrap_or(0))
    });
    let previous = previous.collect::<Result<_, _>>()?;
    Ok(Json(CaBody::of(active, previous, request.now)?))
}

impl CaBody {
    fn of(ca: &CaRecord, previous: Vec<OtherCa>, now: OffsetDateTime) -> Result<Self, Problem> {
        Ok(Self {
            subject: subject(ca)?,
            expires_at: rfc3339(ca.not_after),
            days_remaining: days_remaining(ca.not_after, now),
            fingerprint: ca.fingerprint.to_string(),
            public_cert_pem: ca.certificate_pem.clone(),
            previous,
        })
    }
}

impl OtherCa {
    fn of(ca: &CaRecord, active_devices: u64) -> Result<Self, Problem> {
        Ok(Self {
            fingerprint: ca.fingerprint.to_string(),
            subject: subject(ca)?,
            state: ca.state,
            expires_at: rfc3339(ca.not_after),
            active_devices,
        })
    }
}

fn subject(ca: &CaRecord) -> Result<String, Problem> {
    let certificate = CaCertificate::from_pem(&ca.certificate_pem).map_err(Problem::internal)?;
    Ok(certificate.subject().to_owned())
}

/// Makes a platform CA. With one there already this is the rotation: the new one issues from now
/// on, certificates of the earlier one stay valid.
#[utoipa::path(
    post, path = "/v1/admin/ssl/ca-cert/generate", tag = "TLS", security(("bearer" = [])),
    request_body = GenerateCa, params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, description = "The CA.", body = MadeCa)),
)]
async fn generate(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: RequestContext,
    body: JsonBody<GenerateCa>,
) -> Result<Response, Problem> {
    caller.platform(Right::Tls)?;
    let actor = caller.actor();
    let activate = body.value.activate;
    let (app, request, actor) = (&app, &request, &actor);
    let response = idempotency::run(app, request, actor, body.sha256(), |keep| async move {
        let state = if activate {
            CaState::Active
        } else {
            CaState::Prepared
        };
        let clock_skew = app.store.device_policy().await?.clock_skew();
        let made = authority::generate(request.now, clock_skew, state);
        let (record, key) = made.map_err(Problem::internal)?;
        let answer = Answer::created(&MadeCa::of(&record))?;
        let change = keep.answer(request.change(actor.clone()), &answer);
        let origin = CaOrigin::Generated;
        app.store.add_ca(change, record, key, origin).await?;
        Ok(answer)
    })
    .await?;
    app.reload_certificates().await.map_err(Problem::internal)?;
    Ok(response)
}
