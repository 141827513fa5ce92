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

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use audit::Verifications;
pub use body::{JsonBody, MAX_JSON, Query, read};
pub(crate) use body::{from_json, is_json, require_uncoded};
use caller::invalid_token;
pub use caller::{Caller, Carrier, ConsoleSession, SESSION_IDLE, session_token_hash};
pub use challenges::{CaptureSlots, PollPace, StreamPlaces, own_challenge};
pub use database_health::DatabaseHealth;
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
    OpenApiRouter::with_openapi(Description::openapi())
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
        .routes(routes!(openapi_json))
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

/// The description of the interface (OpenAPI 3.1).
#[must_use]
pub fn openapi() -> OpenApi {
    let mut document = routes().into_openapi();
    let bearer = SecurityRequirement::new(BEARER, NO_SCOPES);
    let cookie = SecurityRequirement::new(COOKIE, NO_SCOPES);
    let paths = document.paths.paths.values_mut();
    for operation in paths.flat_map(operations) {
        let security = operation.security.iter_mut();
        for security in security.filter(|either| either.contains(&bearer)) {
            security.push(cookie.clone());
        }
    }
    document
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem {
        get,
        put,
        post,
        delete,
        options,
        head,
        patch,
        trace,
        ..
    } = path;
    [get, put, post, delete, options, head, patch, trace]
        .into_iter()
        .flatten()
}

/// The description of the interface as JSON; `/openapi.json` and the command `openapi` print it.
///
/// # Errors
///
/// What serialising says.
pub fn openapi_text() -> serde_json::Result<String> {
    openapi().to_pretty_json()
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Identity platform",
        description = "Devices with certificates of their own, palm challenges, integrators.",
    ),
    components(schemas(ProblemDocument, FieldError)),
    modifiers(&Credentials),
)]
struct Description;

/// How callers prove who they are (contract §2). What a console user may do with a session as Bearer
/// they may do with its cookie.
struct Credentials;

const BEARER: &str = "bearer";
const COOKIE: &str = "cookie";
const NO_SCOPES: [&str; 0] = [];

impl utoipa::Modify for Credentials {
    fn modify(&self, openapi: &mut OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme(BEARER, bearer);
        let cookie = ApiKeyValue::with_description(
            "__Host-session",
            "A console user's session, named `session` while the server speaks HTTP. A write carries the \
             `csrf_token` of GET /v1/auth/me in `X-CSRF-Token` beside it, or is refused with 403 \
             `csrf_token_invalid`.",
        );
        components.add_security_scheme(COOKIE, SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        components.add_security_scheme(
            "device",
            SecurityScheme::MutualTls {
                description: Some("The certificate that pairing gave to the device.".to_owned()),
                extensions: None,
                deprecated: None,
            },
        );
    }
}

/// This description.
#[utoipa::path(
    get, path = "/openapi.json", tag = "operations",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")),
)]
async fn openapi_json() -> Result<Response, Problem> {
    static TEXT: LazyLock<serde_json::Result<String>> = LazyLock::new(openapi_text);
    match &*TEXT {
        Ok(text) => Ok(([(CONTENT_TYPE, "application/json")], text.as_str()).into_response()),
        Err(error) => Err(Problem::internal(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_description_names_each_route_once_and_completely() {
        let document = openapi();
        assert!(document.paths.paths.contains_key("/healthz"));
        let text = openapi_text().expect("JSON");
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(json["openapi"], "3.1.0");
        let paths = json["paths"].as_object().expect("paths");
        for (path, operations) in paths {
            for (method, operation) in operations.as_object().expect("operations") {
                let responses = operation["responses"].as_object().expect("responses");
                assert!(!responses.is_empty(), "{method} {path}");
            }
        }
    }

    /// Two types of one name would be one schema, and one of two routes would be described wrongly.
    #[test]
    fn no_two_routes_take_the_same_body() {
        let json = serde_json::to_value(openapi()).expect("JSON");
        let operations = json["paths"].as_object().expect("paths").values();
        let mut seen = HashSet::new();
        for operation in operations.flat_map(|path| path.as_object().expect("operations").values())
        {
            let media = operation["requestBody"]["content"].as_object();
            for schema in media.into_iter().flat_map(|media| media.values()) {
                if let Some(name) = schema["schema"]["$ref"].as_str() {
                    assert!(seen.insert(name.to_owned()), "{name} is taken twice");
                }
            }
        }
        assert!(!seen.is_empty());
    }
}
