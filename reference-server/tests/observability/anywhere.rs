//! A text that callers put wherever they can: each parameter and each member of each route.

use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value, json};

use crate::story::Story;

pub(crate) const CANARY: &str = "canary-that-is-not-to-be-logged";

/// Sends it to every route of the description, as everybody who may call any.
pub(crate) async fn send_everywhere(story: &Story) {
    let description = serde_json::to_value(reference_server::http::openapi()).unwrap();
    let callers = [
        &story.platform.admin,
        &story.tenant_admin,
        &story.integrator,
        &story.scanner,
    ];
    for (path, operations) in description["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) else {
                continue;
            };
            let path = filled(path);
            for body in bodies(&description, operation) {
                for caller in callers {
                    let request = caller.request(method.clone(), &path);
                    send(with(request, &body)).await;
                }
            }
            for caller in callers {
                for name in query_parameters(operation) {
                    let path = format!("{path}?{name}={CANARY}");
                    send(caller.request(method.clone(), &path)).await;
                }
            }
        }
    }
}

async fn send(request: RequestBuilder) {
    // Its body is not read: a stream's does not end.
    let status = request.send().await.expect("an answer").status();
    assert!(!status.is_server_error(), "{status}");
}

/// The path, with the canary in the place of each parameter.
fn filled(template: &str) -> String {
    let segment = |segment: &str| match segment.starts_with('{') {
        true => CANARY.to_owned(),
        false => segment.to_owned(),
    };
    template
        .split('/')
        .map(segment)
        .collect::<Vec<_>>()
        .join("/")
}

fn query_parameters(operation: &Value) -> impl Iterator<Item = &str> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let query = parameters.filter(|parameter| parameter["in"] == "query");
    query.filter_map(|parameter| parameter["name"].as_str())
}

enum Body {
    None,
    Json(Value),
    Form(Vec<(String, String)>),
}

fn with(request: RequestBuilder, body: &Body) -> RequestBuilder {
    match body {
        Body::None => request,
        Body::Json(body) => request.json(body),
        Body::Form(fields) => request.form(fields),
    }
}

/// Bodies in which each member in its turn is the canary: as text, and within an object and a list.
fn bodies(description: &Value, operation: &Value) -> Vec<Body> {
    let content = &operation["requestBody"]["content"];
    let Some(content) = content.as_object() else {
        return vec![Body::None];
    };
    let mut bodies = vec![
        Body::Json(json!(CANARY)),
        Body::Json(json!({CANARY: [CANARY]})),
    ];
    for media in content.values() {
        let members = members(description, &media["schema"]);
        for member in &members {
            bodies.push(Body::Json(json!({member: CANARY})));
        }
        let all: Map<_, _> = members
            .iter()
            .map(|member| (member.clone(), json!(CANARY)))
            .collect();
        bodies.push(Body::Json(Value::Object(all)));
        let all = members
            .into_iter()
            .map(|member| (member, CANARY.to_owned()));
        bodies.push(Body::Form(all.collect()));
    }
    bodies
}

fn members(description: &Value, schema: &Value) -> Vec<String> {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => description
            .pointer(reference.trim_start_matches('#'))
            .unwrap(),
        None => schema,
    };
    let properties = schema["properties"].as_object();
    properties
        .into_iter()
        .flat_map(Map::keys)
        .cloned()
        .collect()
}
