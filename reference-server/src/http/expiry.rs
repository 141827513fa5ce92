//! The expiry of the platform's certificates (contract §11): the console's banner, and a turn of the job.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use identity_store::Expiry;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Caller, Problem, ProblemDocument, RequestContext, Right};
use crate::App;
use crate::expiry::{self, Banner, Failure, Round};

/// The routes of this module.
pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(banners))
        .routes(routes!(run))
}

/// What the console shows on every page.
#[derive(Debug, Serialize, ToSchema)]
struct Banners {
    banners: Vec<Banner>,
}

/// What is to be shown at the head of the console. A platform administrator sees which certificates of
/// the platform expire.
#[utoipa::path(get, path = "/v1/admin/banner", tag = "TLS", security(("bearer" = [])), responses(
    (status = 200, description = "The banners", body = Banners),
    (status = "4XX", body = ProblemDocument),
))]
async fn banners(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: RequestContext,
) -> Result<Json<Banners>, Problem> {
    caller.platform(Right::Tls)?;
    let watched = expiry::watched(&*app.store).await?;
    let banners = watched.iter();
    let banners = banners.filter_map(|certificate| expiry::banner(certificate, request.now));
    Ok(Json(Banners {
        banners: banners.collect(),
    }))
}

/// A threshold that a certificate has crossed.
#[derive(Debug, Serialize, ToSchema)]
struct Crossed {
    /// `server_cert` or `platform_ca`.
    kind: &'static str,
    /// 60, 30, 14, 7 or 1; 0 for a certificate that has expired.
    threshold_days: u8,
    /// SHA-256 of the certificate.
    fingerprint: String,
}

impl From<Expiry> for Crossed {
    fn from(expiry: Expiry) -> Self {
        Self {
            kind: expiry.kind.as_str(),
            threshold_days: expiry.threshold.days(),
            fingerprint: expiry.fingerprint.to_string(),
        }
    }
}

/// Mail that was sent.
#[derive(Debug, Serialize, ToSchema)]
struct Mailed {
    #[serde(flatten)]
    crossed: Crossed,
    /// To how many administrators.
    recipient_count: usize,
}

/// Mail that an administrator did not get.
#[derive(Debug, Serialize, ToSchema)]
struct NotMailed {
    #[serde(flatten)]
    crossed: Crossed,
    /// What went wrong. What may go well another time is tried again within the hour.
    reason: String,
}

impl From<Failure> for NotMailed {
    fn from(failure: Failure) -> Self {
        Self {
            crossed: failure.expiry.into(),
            reason: failure.reason,
        }
    }
}

/// What a turn of the job did: nothing that was done before.
#[derive(Debug, Serialize, ToSchema)]
struct ExpiryRound {
    /// Told to the audit trail and to webhooks.
    announced: Vec<Crossed>,
    mailed: Vec<Mailed>,
    failed: Vec<NotMailed>,
}

impl From<Round> for ExpiryRound {
    fn from(round: Round) -> Self {
        let mailed = round.mailed.into_iter();
        Self {
            announced: round.announced.into_iter().map(Crossed::from).collect(),
            mailed: mailed
                .map(|(expiry, recipient_count)| Mailed {
                    crossed: expiry.into(),
                    recipient_count,
                })
                .collect(),
            failed: round.failed.into_iter().map(NotMailed::from).collect(),
        }
    }
}

/// Looks now whether a certificate of the platform expires, as a job does every hour, and tells what was
/// not told yet. It may be run at any time, and answers when it has run.
#[utoipa::path(post, path = "/v1/admin/jobs/cert-expiry/run", tag = "TLS", security(("bearer" = [])),
    responses(
        (status = 200, description = "What it did", body = ExpiryRound),
        (status = "4XX", body = ProblemDocument),
    )
)]
async fn run(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: RequestContext,
) -> Result<Json<ExpiryRound>, Problem> {
    caller.platform(Right::Tls)?;
    let change = request.change(caller.actor());
    // It goes on to its end when the caller goes away: what was sent is to be noted.
    let round = tokio::spawn(async move { expiry::round(&app, &change).await });
    let round = round.await.map_err(Problem::internal)??;
    Ok(Json(round.into()))
}
