//! Roles and scopes: who holds a right is served, and who does not is not.

use std::collections::BTreeSet;

use identity_store::Role;
use reference_server::http::{Right, Scope};

use crate::calls::Call;
use crate::described::{Route, routes};
use crate::harness::Api;
use crate::objects::Objects;
use crate::table::Who;
use crate::world::{World, all_scopes};

const ROLES: [Role; 3] = [Role::PlatformAdmin, Role::TenantAdmin, Role::TenantOperator];

#[tokio::test]
async fn who_holds_the_right_is_served_and_who_does_not_is_refused() {
    let world = World::start().await;
    let shared = Objects::of(&world, &world.acme);
    for route in routes() {
        let call = Call::of(&route, &shared).await;
        match route.who {
            Who::Holder(rights) => {
                refused(&world, &route, &call, rights).await;
                served(&world, &route, rights).await;
            }
            Who::ConsoleUser => {
                let backend = world.acme.backend(&all_scopes()).await;
                expect_refusal(&route, "a token", &call, &backend, "forbidden").await;
                let objects = Objects::of(&world, &world.acme);
                let user = &objects.console_user().await.api;
                expect_service(&route, "a console user", &objects, user).await;
            }
            Who::Anybody(_) | Who::Device | Who::Scanner => {}
        }
    }
}

/// The roles that hold one of the rights.
pub(crate) fn roles(rights: &[Right]) -> Vec<Role> {
    let holds = |role: &Role| rights.iter().any(|it| it.holders().roles.contains(role));
    ROLES.into_iter().filter(holds).collect()
}

/// The scopes of which each holds one of the rights.
pub(crate) fn scopes(rights: &[Right]) -> BTreeSet<Scope> {
    rights.iter().filter_map(|it| it.holders().scope).collect()
}

fn of_role(world: &World, role: Role) -> &Api {
    match role {
        Role::PlatformAdmin => &world.platform.admin,
        Role::TenantAdmin => &world.acme.admin,
        Role::TenantOperator => &world.acme.operator,
    }
}

/// Everybody who does not hold the right.
async fn refused(world: &World, route: &Route, call: &Call, rights: &[Right]) {
    let holders = roles(rights);
    for role in ROLES.into_iter().filter(|role| !holders.contains(role)) {
        let (who, api) = (format!("{role:?}"), of_role(world, role));
        expect_refusal(route, &who, call, api, "forbidden").await;
    }
    let others = &all_scopes() - &scopes(rights);
    let backend = world.acme.backend(&others).await;
    let who = "a token of every other scope";
    expect_refusal(route, who, call, &backend, "insufficient_scope").await;
}

/// Everybody who holds it, each with objects of their own.
async fn served(world: &World, route: &Route, rights: &[Right]) {
    for role in roles(rights) {
        let objects = match role {
            Role::PlatformAdmin => Objects::with_the_platforms_webhooks(world, &world.acme),
            Role::TenantAdmin | Role::TenantOperator => Objects::of(world, &world.acme),
        };
        let (who, api) = (format!("{role:?}"), of_role(world, role));
        expect_service(route, &who, &objects, api).await;
    }
    for scope in scopes(rights) {
        let objects = Objects::of(world, &world.acme);
        let backend = world.acme.backend(&BTreeSet::from([scope])).await;
        expect_service(route, scope.as_str(), &objects, &backend).await;
    }
}

async fn expect_refusal(route: &Route, who: &str, call: &Call, api: &Api, error: &str) {
    let reply = call.by(api).await;
    let name = route.name();
    assert_eq!(
        (reply.status, reply.error()),
        (403, error),
        "{name} by {who}: {}",
        reply.text
    );
}

async fn expect_service(route: &Route, who: &str, objects: &Objects<'_>, api: &Api) {
    let reply = Call::of(route, objects).await.by(api).await;
    let name = route.name();
    let served = route.serves(reply.status, reply.json["error"].as_str());
    assert!(served, "{name} by {who}: {} {}", reply.status, reply.text);
}
