//! No credential, none that is good, and one of the wrong kind.

use crate::calls::Call;
use crate::described::routes;
use crate::harness::FIRST_PASSWORD;
use crate::objects::Objects;
use crate::table::{WITH_THE_FIRST_PASSWORD, Who};
use crate::world::{World, all_scopes};
use serde_json::json;

#[tokio::test]
async fn who_proves_nothing_is_served_by_the_public_routes_alone() {
    let world = World::start().await;
    let nobody = world.platform.api();
    let objects = Objects::of(&world, &world.acme);
    let scanner = &objects.device().await.api;
    for route in routes() {
        let call = Call::of(&route, &objects).await;
        let callers = match route.who {
            Who::Anybody(why) => {
                let reply = call.by(&nobody).await;
                let error = reply.json["error"].as_str();
                let name = route.name();
                assert!(
                    route.serves(reply.status, error),
                    "{name}: {why}: {}",
                    reply.text
                );
                continue;
            }
            Who::ConsoleUser | Who::Holder(_) => [
                ("no credential", nobody.clone(), "unauthorized"),
                (
                    "a token of nobody's",
                    nobody.with_bearer("nobody"),
                    "unauthorized",
                ),
                (
                    "a JWS of nobody's",
                    nobody.with_bearer("a.b.c"),
                    "unauthorized",
                ),
                ("a device's certificate", scanner.clone(), "unauthorized"),
            ],
            Who::Device | Who::Scanner => [
                ("no credential", nobody.clone(), "client_cert_required"),
                (
                    "a platform administrator",
                    world.platform.admin.clone(),
                    "client_cert_required",
                ),
                (
                    "a tenant's administrator",
                    world.acme.admin.clone(),
                    "client_cert_required",
                ),
                (
                    "a token of every scope",
                    world.acme.backend(&all_scopes()).await,
                    "client_cert_required",
                ),
            ],
        };
        for (what, caller, error) in callers {
            let reply = call.by(&caller).await;
            let answer = (reply.status, reply.error());
            assert_eq!(
                answer,
                (401, error),
                "{} with {what}: {}",
                route.name(),
                reply.text
            );
            let challenged = reply.header("www-authenticate").is_some();
            assert_eq!(challenged, error == "unauthorized", "{}", route.name());
        }
    }
}

#[tokio::test]
async fn who_has_the_password_of_another_person_chooses_their_own_first() {
    let world = World::start().await;
    let new = json!({
        "email": "new@example.com", "role": "platform_admin", "password": FIRST_PASSWORD,
    });
    let made = world
        .platform
        .admin
        .post("/v1/admin/console-users", new)
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let new = world
        .platform
        .api()
        .sign_in("new@example.com", FIRST_PASSWORD)
        .await;
    let objects = Objects::of(&world, &world.acme);
    for route in routes() {
        let bearer = matches!(route.who, Who::ConsoleUser | Who::Holder(_));
        if bearer && !WITH_THE_FIRST_PASSWORD.contains(&&*route.name()) {
            let reply = Call::of(&route, &objects).await.by(&new).await;
            let answer = (reply.status, reply.error());
            assert_eq!(
                answer,
                (403, "password_change_required"),
                "{}",
                route.name()
            );
        }
    }
    assert_eq!(new.get("/v1/auth/me").await.status, 200);
}
