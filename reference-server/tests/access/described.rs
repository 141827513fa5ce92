//! The routes as the description has them.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use crate::harness::Platform;
use crate::table::{ANSWERS, ROUTES, WITH_THE_FIRST_PASSWORD, Who};

const METHODS: [Method; 5] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::PATCH,
];

/// A route of the description, and who may call it.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) operation: Value,
    pub(crate) who: Who,
}

impl Route {
    /// Method and path.
    pub(crate) fn name(&self) -> String {
        name(&self.method, &self.path)
    }

    /// Whether this is the answer to whoever may call it, when the call is a good one.
    pub(crate) fn serves(&self, status: u16, error: Option<&str>) -> bool {
        let name = self.name();
        let other = ANSWERS.iter().find(|(route, ..)| *route == name);
        match other {
            Some((_, refused, code)) => (status, error) == (*refused, Some(*code)),
            None => (200..300).contains(&status),
        }
    }
}

fn name(method: &Method, path: &str) -> String {
    format!("{method} {path}")
}

pub(crate) fn description() -> Value {
    serde_json::to_value(reference_server::http::openapi()).expect("JSON")
}

/// Each route that the table has, too.
pub(crate) fn routes() -> Vec<Route> {
    let listed = |(route, operation)| {
        let (method, path): &(Method, String) = &route;
        let name = name(method, path);
        let (_, who) = ROUTES.iter().find(|(listed, _)| *listed == name)?;
        let (method, path) = route;
        Some(Route {
            method,
            path,
            operation,
            who: *who,
        })
    };
    operations().into_iter().filter_map(listed).collect()
}

/// Every route that is described.
fn operations() -> Vec<((Method, String), Value)> {
    let mut description = description();
    let paths = description["paths"].take();
    let mut operations = Vec::new();
    for (path, described) in paths.as_object().expect("paths") {
        for method in METHODS {
            let operation = &described[method.as_str().to_lowercase()];
            if !operation.is_null() {
                operations.push(((method, path.clone()), operation.clone()));
            }
        }
    }
    operations
}

#[test]
fn the_table_says_of_every_route_who_may_call_it() {
    let described: BTreeSet<_> = operations()
        .iter()
        .map(|((method, path), _)| name(method, path))
        .collect();
    let listed: BTreeSet<_> = ROUTES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(listed.len(), ROUTES.len(), "each once");
    let missing: Vec<_> = described.difference(&listed).collect();
    assert!(
        missing.is_empty(),
        "say in reference-server/tests/access/table.rs who may call {missing:?}"
    );
    let others = ANSWERS.iter().map(|(name, ..)| *name);
    let named: BTreeSet<_> = others
        .chain(WITH_THE_FIRST_PASSWORD.iter().copied())
        .map(str::to_owned)
        .chain(listed)
        .collect();
    let gone: Vec<_> = named.difference(&described).collect();
    assert!(gone.is_empty(), "not described: {gone:?}");
}

#[test]
fn the_description_names_the_credential_of_every_route() {
    for route in routes() {
        let security = &route.operation["security"];
        let schemes: Vec<_> = security
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_object)
            .flat_map(|schemes| schemes.keys())
            .collect();
        let expected: &[&str] = match route.who {
            Who::Anybody(_) => &[],
            Who::ConsoleUser | Who::Holder(_) => &["bearer", "cookie"],
            Who::Device | Who::Scanner => &["device"],
        };
        assert_eq!(schemes, expected, "{}", route.name());
    }
}

#[test]
fn what_makes_something_takes_an_idempotency_key() {
    for route in routes() {
        if !route.operation["responses"]["201"].is_null() {
            let parameters = route.operation["parameters"].as_array();
            let mut parameters = parameters.into_iter().flatten();
            let takes = parameters.any(|it| it["name"] == "Idempotency-Key");
            assert!(takes, "{}", route.name());
        }
    }
}

#[tokio::test]
async fn a_method_that_is_not_described_is_not_there() {
    let platform = Platform::first_run().await;
    let nobody = platform.api();
    let paths: BTreeSet<_> = operations()
        .into_iter()
        .map(|((_, path), _)| path)
        .collect();
    let described: BTreeSet<_> = operations()
        .into_iter()
        .map(|((method, path), _)| name(&method, &path))
        .collect();
    for path in paths {
        for method in METHODS {
            if !described.contains(&name(&method, &path)) {
                let request = nobody.request(method.clone(), &path.replace(['{', '}'], ""));
                let reply = nobody.send(request).await;
                let answer = (reply.status, reply.error());
                assert_eq!(answer, (405, "method_not_allowed"), "{method} {path}");
            }
        }
    }
}
