//! The description of the interface (OpenAPI 3.1): what the routes say of themselves, and what holds for
//! each of them.

use std::sync::{Arc, LazyLock};

use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use utoipa::OpenApi as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{FieldError, Problem, ProblemDocument, routes as all_routes};
use crate::App;

/// The route of the description.
pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Description::openapi()).routes(routes!(openapi_json))
}

/// The description of the interface (OpenAPI 3.1).
#[must_use]
pub fn openapi() -> OpenApi {
    let mut document = all_routes().into_openapi();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            operation.operation_id = Some(operation_id(method, path));
            offer_cookie(operation);
            describe_refusals(operation);
        }
    }
    document
}

/// Whoever may present a session as Bearer may present its cookie.
fn offer_cookie(operation: &mut Operation) {
    let bearer = SecurityRequirement::new(BEARER, NO_SCOPES);
    let cookie = SecurityRequirement::new(COOKIE, NO_SCOPES);
    let security = operation.security.iter_mut();
    for security in security.filter(|either| either.contains(&bearer)) {
        security.push(cookie.clone());
    }
}

/// A refusal is a problem document, which has a media type of its own; and every route may answer more of
/// them than it names: those of contract §1.
fn describe_refusals(operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    // What a handler's type says: the same once more, without a description.
    responses.remove("4XX");
    for response in responses.values_mut() {
        if let RefOr::T(response) = response
            && response.content.get(JSON).is_some_and(is_problem)
            && let Some(content) = response.content.shift_remove(JSON)
        {
            response.content.insert(PROBLEM_JSON.to_owned(), content);
        }
    }
    let problem = Content::new(Some(Ref::from_schema_name(PROBLEM)));
    let refusal = ResponseBuilder::new()
        .description("Any other refusal; `error` says which.")
        .content(PROBLEM_JSON, problem);
    responses
        .entry("default".to_owned())
        .or_insert_with(|| refusal.build().into());
}

fn is_problem(content: &RefOr<Content>) -> bool {
    matches!(
        content,
        RefOr::T(Content { schema: Some(RefOr::Ref(reference)), .. })
            if reference.ref_location == Ref::from_schema_name(PROBLEM).ref_location
    )
}

/// The operations of a path, each with its method.
fn operations(path: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
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
    [
        ("get", get),
        ("put", put),
        ("post", post),
        ("delete", delete),
        ("options", options),
        ("head", head),
        ("patch", patch),
        ("trace", trace),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// A name for generated clients that no other operation has: `post_v1_devices_device_id_pairing_code`.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    std::iter::once(method)
        .chain(words)
        .collect::<Vec<_>>()
        .join("_")
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

const JSON: &str = "application/json";
const PROBLEM_JSON: &str = "application/problem+json";
/// What [`ProblemDocument`] is called there.
const PROBLEM: &str = "Problem";

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
        let mut ids = HashSet::new();
        for (path, operations) in paths {
            for (method, operation) in operations.as_object().expect("operations") {
                let id = operation["operationId"].as_str().expect("an id");
                assert!(ids.insert(id), "{id} is two routes'");
                let responses = operation["responses"].as_object().expect("responses");
                assert!(!responses.is_empty(), "{method} {path}");
                for (status, response) in responses {
                    let told = response["description"]
                        .as_str()
                        .is_some_and(|it| !it.is_empty());
                    assert!(told, "{method} {path} {status}");
                    let problem = "#/components/schemas/Problem";
                    let media = response["content"].as_object().into_iter().flatten();
                    for (media_type, content) in media {
                        let is_problem = content["schema"]["$ref"] == problem;
                        let is_its_type = media_type == "application/problem+json";
                        assert_eq!(is_problem, is_its_type, "{method} {path} {status}");
                    }
                }
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
