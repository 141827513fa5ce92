use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use identity_pki::{CaCertificate, Fingerprint};
use identity_store::{CaRecord, CaState, rfc3339};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::{
    Caller, ErrorCode, JsonBody, PathId, Problem, ProblemDocument, RequestContext, Right,
};
use crate::start::StartError;
use crate::{App, authority};

/// A CA after a change of its state.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangedCa {
    fingerprint: String,
    subject: String,
    #[schema(value_type = String)]
    state: CaState,
    expires_at: String,
}

impl ChangedCa {
    fn of(ca: &CaRecord) -> Result<Self, Problem> {
        Ok(Self {
            fingerprint: ca.fingerprint.to_string(),
            subject: super::subject(ca)?,
            state: ca.state,
            expires_at: rfc3339(ca.not_after),
        })
    }
}

/// Lets a prepared CA issue from now on, or a retiring one again. The one before becomes retiring:
/// its certificates stay valid.
#[utoipa::path(
    post, path = "/v1/admin/ssl/ca-certs/{fingerprint}/activate", tag = "TLS",
    security(("bearer" = [])), params(("fingerprint" = String, Path)),
    responses(
        (status = 200, description = "It issues.", body = ChangedCa),
        (status = 404, description = "`not_found`", body = ProblemDocument),
        (status = 409, description = "`conflict`: it is active, tainted or retired.",
            body = ProblemDocument),
        (status = 422, description = "`cert_expired`", body = ProblemDocument),
        (status = 503, description = "`unavailable`: its key cannot be read.",
            body = ProblemDocument),
    ),
)]
pub(super) async fn activate(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: RequestContext,
    PathId(fingerprint): PathId<Fingerprint>,
) -> Result<Json<ChangedCa>, Problem> {
    caller.platform(Right::Tls)?;
    let cas = app.store.cas().await?;
    let ca = cas.iter().find(|ca| ca.fingerprint == fingerprint);
    let ca = ca.ok_or_else(|| Problem::not_found("CA"))?;
    // What the state forbids is the store's to say.
    if ca.state.takes_certificates() {
        must_be_able_to_issue(&app, ca, &request).await?;
    }
    let change = request.change(caller.actor());
    let activated = app.store.activate_ca(change, &fingerprint).await?;
    app.reload_certificates().await.map_err(Problem::internal)?;
    Ok(Json(ChangedCa::of(&activated)?))
}

/// Pairings and renewals would fail from then on under one that cannot.
async fn must_be_able_to_issue(
    app: &App,
    ca: &CaRecord,
    request: &RequestContext,
) -> Result<(), Problem> {
    let certificate = CaCertificate::from_pem(&ca.certificate_pem).map_err(Problem::internal)?;
    if !certificate.is_valid_at(request.now) {
        let (from, until) = (
            rfc3339(certificate.not_before()),
            rfc3339(certificate.not_after()),
        );
        let detail = format!(
            "The CA is valid from {from} until {until}: it could issue nothing now. Make another."
        );
        return Err(Problem::new(ErrorCode::CertExpired, detail));
    }
    match authority::usable(&*app.store, ca).await {
        Ok(key) => key.get().map(|_| ()),
        Err(StartError::Store(error)) => Err(error.into()),
        Err(error) => Err(Problem::internal(error)),
    }
}

/// What to do about devices that still need the CA.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RetireCa {
    /// Whether devices that have a certificate of it are locked out.
    #[serde(default)]
    force: bool,
}

/// Takes a CA out of the trust bundle for good, and deletes its key.
#[utoipa::path(
    post, path = "/v1/admin/ssl/ca-certs/{fingerprint}/retire", tag = "TLS",
    security(("bearer" = [])), params(("fingerprint" = String, Path)), request_body = RetireCa,
    responses(
        (status = 200, description = "It is trusted no more.", body = ChangedCa),
        (status = 404, description = "`not_found`", body = ProblemDocument),
        (status = 409, description = "`ca_in_use`; `conflict`: it issues, or is retired.",
            body = ProblemDocument),
    ),
)]
pub(super) async fn retire(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: RequestContext,
    PathId(fingerprint): PathId<Fingerprint>,
    body: JsonBody<RetireCa>,
) -> Result<Json<ChangedCa>, Problem> {
    caller.platform(Right::Tls)?;
    let change = request.change(caller.actor());
    let force = body.value.force;
    let retired = app.store.retire_ca(change, &fingerprint, force).await?;
    app.reload_certificates().await.map_err(Problem::internal)?;
    Ok(Json(ChangedCa::of(&retired)?))
}
