//! The HTTP interface: what every route shares, and one module for each group of routes.

mod audit;
mod auth;
mod body;
mod caller;
mod challenges;
mod cookie;
mod csrf;
mod csv;
mod database_health;
mod description;
mod device_caller;
mod devices;
mod download;
mod email;
mod erasures;
mod error_code;
mod event_stream;
mod expiry;
mod health;
pub mod idempotency;
mod issuance;
mod jobs;
mod oauth;
mod operators;
mod page;
mod path;
mod problem;
mod rate_limit;
mod request;
mod right;
mod ssl;
mod store_error;
mod tenants;
mod text;
mod timestamp;
mod trace_context;
mod users;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use utoipa_axum::router::OpenApiRouter;

pub use audit::Verifications;
pub(crate) use body::{Form, from_json, is_form, is_json, require_uncoded};
pub use body::{JsonBody, MAX_JSON, Query, read};
use caller::invalid_token;
pub use caller::{Caller, Carrier, ConsoleSession, SESSION_IDLE, session_token_hash};
pub use challenges::{CaptureSlots, PollPace, StreamPlaces, own_challenge};
pub use database_health::DatabaseHealth;
pub use description::{openapi, openapi_text};
pub use device_caller::{DeviceCaller, PollingDevice, RenewingDevice, require_mtls};
pub use email::{Email, EmailError};
pub use error_code::ErrorCode;
pub(crate) use event_stream::{EventStream, Lasting};
pub use idempotency::{Answer, Keep};
pub use operators::seed;
pub use page::{List, page_request};
pub use path::PathId;
pub use problem::{FieldError, Problem, ProblemDocument};
pub use rate_limit::{Everybody, RateLimit, RateLimits, RateRefusal, Source};
pub use request::{Peer, RequestContext, RequestId, X_REQUEST_ID};
pub use right::{Holders, Right, Scope, UnknownScope};
pub use timestamp::Timestamp;

use crate::App;
use request::TransportSecurity;

/// The routes of the API listener, with their description.
#[must_use]
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .merge(description::routes())
        .merge(auth::routes())
        .merge(health::routes())
        .merge(tenants::routes())
        .merge(oauth::routes())
        .merge(devices::routes())
        .merge(users::routes())
        .merge(erasures::routes())
        .merge(challenges::routes())
        .merge(operators::routes())
        .merge(ssl::routes())
        .merge(jobs::routes())
        .merge(audit::routes())
        .merge(issuance::routes())
        .merge(expiry::routes())
        .merge(webhooks::routes())
}

/// The service of the API listener.
pub fn router(app: &Arc<App>) -> Router {
    let security = TransportSecurity::of_api(app);
    request::observed(app, Router::from(routes()), security)
}

/// The service of the metrics listener.
pub fn metrics_router(app: &Arc<App>) -> Router {
    request::observed(app, health::metrics_routes(), TransportSecurity::Silent)
}
