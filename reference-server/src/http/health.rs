//! Health, readiness, version and metrics (contract §13).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::secrets::{Lost, Secret};

/// How long the database has to count what is not sealed; after that the metrics go without.
const COUNT: Duration = Duration::from_secs(5);

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(api_health))
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(actuator))
        .routes(routes!(version))
}

pub(super) fn metrics_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/readyz", get(full_readyz))
}

/// Whether something is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Status {
    Up,
    Down,
}

#[derive(Debug, Serialize, ToSchema)]
struct Alive {
    status: Status,
}

/// The process answers.
#[utoipa::path(
    get, path = "/api/health", tag = "operations",
    responses((status = 200, description = "The process answers.", body = Alive)),
)]
async fn api_health() -> Json<Alive> {
    Json(Alive { status: Status::Up })
}

/// The process answers.
#[utoipa::path(
    get, path = "/healthz", tag = "operations",
    responses((status = 200, description = "The process answers.", body = Alive)),
)]
async fn healthz() -> Json<Alive> {
    Json(Alive { status: Status::Up })
}

/// What the server needs, and what an operator still has to set up.
#[derive(Debug, Serialize, ToSchema)]
struct Readiness {
    /// Whether requests can be served.
    status: Status,
    /// The database answers and has a schema that this version works with.
    database: Status,
    /// The server certificate is there. Without it the server is ready for its set-up.
    server_cert_configured: bool,
    /// The platform CA is there. Without it no scanner is served.
    platform_ca_configured: bool,
    /// Certificates can be issued. `DOWN` with a CA that is there: its key is lost.
    issuing: Status,
    /// A secret of the platform is lost. What needs it is answered 503, everything else goes on. Which
    /// one, and how, is told on the metrics listener.
    degraded: bool,
}

/// What an operator is told besides.
#[derive(Debug, Serialize)]
struct FullReadiness {
    #[serde(flatten)]
    readiness: Readiness,
    lost_secrets: Vec<Lost>,
}

/// Database and schema are good. A missing CA, or a secret that is lost, is told and is no failure.
#[utoipa::path(
    get, path = "/readyz", tag = "operations",
    responses(
        (status = 200, description = "Requests can be served.", body = Readiness),
        (status = 503, description = "They cannot.", body = Readiness),
    ),
)]
async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, Json<Readiness>) {
    let readiness = readiness(&app).await;
    (code(readiness.status), Json(readiness))
}

async fn full_readyz(State(app): State<Arc<App>>) -> (StatusCode, Json<FullReadiness>) {
    let full = FullReadiness {
        readiness: readiness(&app).await,
        lost_secrets: app.lost_secrets(),
    };
    (code(full.readiness.status), Json(full))
}

async fn readiness(app: &App) -> Readiness {
    let database = database(app).await;
    let ca = app.ca.load();
    Readiness {
        status: database,
        database,
        server_cert_configured: app.tls.is_https(),
        platform_ca_configured: ca.is_some(),
        issuing: match &**ca {
            Some(Secret::Usable(_)) => Status::Up,
            Some(Secret::Lost(_)) | None => Status::Down,
        },
        degraded: !app.lost_secrets().is_empty(),
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Actuator {
    status: Status,
    components: Components,
}

#[derive(Debug, Serialize, ToSchema)]
struct Components {
    db: Component,
}

#[derive(Debug, Serialize, ToSchema)]
struct Component {
    status: Status,
}

/// Readiness in the words of Spring's actuator.
#[utoipa::path(
    get, path = "/actuator/health", tag = "operations",
    responses(
        (status = 200, description = "UP", body = Actuator),
        (status = 503, description = "DOWN", body = Actuator),
    ),
)]
async fn actuator(State(app): State<Arc<App>>) -> (StatusCode, Json<Actuator>) {
    let status = database(&app).await;
    let components = Components {
        db: Component { status },
    };
    (code(status), Json(Actuator { status, components }))
}

#[derive(Debug, Serialize, ToSchema)]
struct Version {
    name: &'static str,
    version: &'static str,
}

/// Which build this is.
#[utoipa::path(
    get, path = "/api/version", tag = "operations",
    responses((status = 200, description = "Name and version.", body = Version)),
)]
async fn version() -> Json<Version> {
    Json(Version {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// Metrics in Prometheus' text format, on the metrics listener only.
async fn metrics(State(app): State<Arc<App>>) -> Response {
    metrics::gauge!("device_connections").set(app.live.len() as f64);
    metrics::gauge!("device_streams").set(app.streams.len() as f64);
    let now = app.clock.now();
    if let Some(age) = app.denylist.age(now) {
        metrics::gauge!("denylist_age_seconds").set(age.as_seconds_f64());
    }
    metrics::gauge!("secrets_lost").set(app.lost_secrets().len() as f64);
    metrics::gauge!("denylist_stale").set(f64::from(u8::from(app.denylist.is_stale(now))));
    if app.store.is_shared() {
        let is_connected = u8::from(!app.notices.is_deaf());
        metrics::gauge!("notification_listener_connected").set(f64::from(is_connected));
    }
    let trusted = app.tls.trust().certificates().count();
    metrics::gauge!("platform_cas_trusted").set(trusted as f64);
    let ca = app.ca.load();
    let ca = (**ca).as_ref().and_then(Secret::usable);
    let ca_not_after = ca.map(|ca| ca.certificate().not_after());
    for (certificate, not_after) in [
        ("server", app.tls.server_not_after()),
        ("platform_ca", ca_not_after),
    ] {
        if let Some(not_after) = not_after {
            metrics::gauge!("certificate_expiry_timestamp_seconds", "certificate" => certificate)
                .set(not_after.unix_timestamp() as f64);
        }
    }
    if let Ok(Ok(rows)) = tokio::time::timeout(COUNT, app.store.unsealed_audit(None)).await {
        metrics::gauge!("audit_rows_unsealed").set(rows as f64);
    }
    let text = app
        .metrics
        .as_ref()
        .map(PrometheusHandle::render)
        .unwrap_or_default();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

async fn database(app: &App) -> Status {
    if app.database_health.is_up(&app.store).await {
        Status::Up
    } else {
        Status::Down
    }
}

fn code(status: Status) -> StatusCode {
    match status {
        Status::Up => StatusCode::OK,
        Status::Down => StatusCode::SERVICE_UNAVAILABLE,
    }
}
