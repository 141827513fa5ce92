//! Another tenant's objects are not there, and a suspended tenant is not served.

use identity_store::Role;
use reference_server::http::Right;
use serde_json::{Value, json};

use crate::calls::Call;
use crate::described::{Route, routes};
use crate::harness::{Api, Reply};
use crate::objects::Objects;
use crate::rights::{roles, scopes};
use crate::table::Who;
use crate::world::{World, all_scopes};

/// Somebody of another tenant.
#[derive(Debug, Clone, Copy)]
enum Stranger {
    ConsoleUser(Role),
    /// With a token of every scope.
    Backend,
}

impl Stranger {
    fn holds(self, who: Who) -> bool {
        let holds = |rights: &[Right]| match self {
            Self::ConsoleUser(role) => roles(rights).contains(&role),
            Self::Backend => !scopes(rights).is_empty(),
        };
        match (who, self) {
            (Who::Holder(rights), _) => holds(rights),
            (Who::ConsoleUser, Self::ConsoleUser(_)) => true,
            (Who::ConsoleUser, Self::Backend) => false,
            (Who::Anybody(_) | Who::Device | Who::Scanner, _) => {
                unreachable!("{who:?} is nobody's right")
            }
        }
    }
}

#[tokio::test]
async fn another_tenants_objects_are_not_there() {
    let world = World::start().await;
    let shared = Objects::of(&world, &world.acme);
    let ids = ids(&shared).await;
    let before = state(&world, &shared).await;
    let strangers = [
        (
            Stranger::ConsoleUser(Role::TenantAdmin),
            world.other.admin.clone(),
        ),
        (
            Stranger::ConsoleUser(Role::TenantOperator),
            world.other.operator.clone(),
        ),
        (Stranger::Backend, world.other.backend(&all_scopes()).await),
    ];
    for route in routes() {
        if !matches!(route.who, Who::ConsoleUser | Who::Holder(_)) {
            continue;
        }
        for (stranger, api) in &strangers {
            let call = Call::of(&route, &shared).await;
            let what = format!("{} by another tenant's {stranger:?}", route.name());
            if call.names_an_object {
                let reply = call.by(api).await;
                is_not_there(&what, stranger.holds(route.who), &reply);
            } else if route.who != Who::ConsoleUser {
                tells_nothing(&what, &route, &call.by(api).await, &ids);
            }
            in_queries(&what, &route, &call, &shared, api, &ids).await;
        }
    }
    assert_eq!(state(&world, &shared).await, before);
}

/// What an answer would hold that tells something of the tenant.
async fn ids(objects: &Objects<'_>) -> Vec<String> {
    let places = [
        "/{device_id}",
        "/{user_id}",
        "/{challenge_id}",
        "/{client_id}",
        "/{webhook_id}",
        "/{delivery_id}",
        "/v1/admin/console-users/{id}",
    ];
    let mut ids = Vec::new();
    for place in places {
        ids.push(objects.parameter(place).await);
    }
    ids
}

/// The tenant's objects, as the tenant sees them.
async fn state(world: &World, objects: &Objects<'_>) -> Vec<Value> {
    let mut state = Vec::new();
    for path in [
        format!("/v1/devices/{}", objects.parameter("/{device_id}").await),
        format!("/v1/users/{}", objects.parameter("/{user_id}").await),
        format!(
            "/v1/users/{}/consent",
            objects.parameter("/{user_id}").await
        ),
        format!(
            "/v1/challenges/{}",
            objects.parameter("/{challenge_id}").await
        ),
        "/v1/oauth-clients".to_owned(),
        "/v1/devices".to_owned(),
        "/v1/users".to_owned(),
    ] {
        let reply = world.acme.admin.get(&path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        state.push(reply.json);
    }
    state
}

fn is_not_there(what: &str, holds: bool, reply: &Reply) {
    let answer = (reply.status, reply.error());
    let expected = match answer {
        (404, "not_found" | "user_not_found" | "device_not_found") => holds,
        (403, "forbidden" | "insufficient_scope") => !holds,
        _ => false,
    };
    assert!(expected, "{what}: {answer:?}");
}

/// Either the caller's own tenant is served, or nobody.
fn tells_nothing(what: &str, route: &Route, reply: &Reply, ids: &[String]) {
    let error = reply.json["error"].as_str();
    let expected = reply.status == 403 || route.serves(reply.status, error);
    assert!(expected, "{what}: {} {}", reply.status, reply.text);
    let told = ids.iter().find(|id| reply.text.contains(*id));
    assert!(told.is_none(), "{what}: {}", reply.text);
}

/// Tenants, devices and users that a query asks for.
async fn in_queries(
    what: &str,
    route: &Route,
    call: &Call,
    objects: &Objects<'_>,
    api: &Api,
    ids: &[String],
) {
    let parameters = route.operation["parameters"].as_array();
    for parameter in parameters.into_iter().flatten() {
        let name = parameter["name"].as_str().expect("a name");
        let asked = match (parameter["in"].as_str(), name) {
            (Some("query"), "tenant_id") => Some("acme".to_owned()),
            (Some("query"), _) => objects.id(name).await,
            _ => None,
        };
        if let Some(asked) = asked {
            let reply = call.with_query(name, &asked).by(api).await;
            let what = format!("{what}, asked for {name}");
            if name == "tenant_id" {
                assert_eq!(reply.status, 403, "{what}: {}", reply.text);
            }
            tells_nothing(&what, route, &reply, ids);
        }
    }
}

#[tokio::test]
async fn another_devices_challenges_are_not_there() {
    let world = World::start().await;
    let shared = Objects::of(&world, &world.acme);
    let ids = ids(&shared).await;
    let before = state(&world, &shared).await;
    for route in routes() {
        if !matches!(route.who, Who::Device | Who::Scanner) {
            continue;
        }
        let call = Call::of(&route, &shared).await;
        let stranger = Objects::of(&world, &world.other);
        let reply = call.by(&stranger.device().await.api).await;
        let what = format!("{} by another tenant's device", route.name());
        if call.names_an_object {
            is_not_there(&what, true, &reply);
            let sibling = Objects::of(&world, &world.acme);
            let reply = call.by(&sibling.device().await.api).await;
            is_not_there(&format!("{} by another device", route.name()), true, &reply);
        } else {
            tells_nothing(&what, &route, &reply, &ids);
        }
    }
    let of_challenge = 3;
    assert_eq!(
        state(&world, &shared).await[..=of_challenge],
        before[..=of_challenge]
    );
}

#[tokio::test]
async fn a_suspended_tenants_callers_are_refused_by_every_route() {
    let world = World::start().await;
    let objects = Objects::of(&world, &world.acme);
    let mut calls = Vec::new();
    for route in routes() {
        calls.push((Call::of(&route, &objects).await, route));
    }
    let device = &objects.device().await.api;
    let backend = world.acme.backend(&all_scopes()).await;
    let suspend = "/v1/admin/tenants/acme/suspend";
    let suspended = world.platform.admin.post(suspend, json!({})).await;
    assert_eq!(suspended.status, 200, "{}", suspended.text);
    for (call, route) in &calls {
        let callers: &[(&str, &Api)] = match route.who {
            Who::Anybody(_) => &[],
            Who::ConsoleUser | Who::Holder(_) => &[
                ("administrator", &world.acme.admin),
                ("operator", &world.acme.operator),
                ("backend", &backend),
            ],
            Who::Device | Who::Scanner => &[("device", device)],
        };
        for (who, api) in callers {
            let reply = call.by(api).await;
            let answer = (reply.status, reply.error());
            assert_eq!(
                answer,
                (403, "tenant_suspended"),
                "{} by {who}",
                route.name()
            );
        }
    }
}
