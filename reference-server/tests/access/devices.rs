//! Devices: the class, and a certificate that is denied.

use crate::calls::Call;
use crate::described::{Route, routes};
use crate::objects::Objects;
use crate::table::Who;
use crate::world::World;

fn device_routes() -> impl Iterator<Item = Route> {
    let for_devices = |route: &Route| matches!(route.who, Who::Device | Who::Scanner);
    routes().into_iter().filter(for_devices)
}

#[tokio::test]
async fn a_device_is_served_by_the_routes_of_its_class() {
    let world = World::start().await;
    for route in device_routes() {
        let gate = Objects::with_device_class(&world, &world.acme, "gate");
        let gate = &gate.device().await.api;
        let objects = Objects::of(&world, &world.acme);
        let call = Call::of(&route, &objects).await;
        let name = route.name();
        let reply = call.by(gate).await;
        match route.who {
            Who::Scanner => {
                let answer = (reply.status, reply.error());
                assert_eq!(
                    answer,
                    (403, "device_class_not_allowed"),
                    "{name} by a gate"
                );
            }
            _ => assert!(
                route.serves(reply.status, None),
                "{name} by a gate: {}",
                reply.text
            ),
        }
        let call = Call::of(&route, &objects).await;
        let reply = call.by(&objects.device().await.api).await;
        let error = reply.json["error"].as_str();
        let served = route.serves(reply.status, error);
        assert!(
            served,
            "{name} by a scanner: {} {}",
            reply.status, reply.text
        );
    }
}

#[tokio::test]
async fn a_denied_certificate_opens_no_route() {
    let world = World::start().await;
    for route in device_routes() {
        let objects = Objects::of(&world, &world.acme);
        let call = Call::of(&route, &objects).await;
        let (name, device) = (route.name(), objects.device().await);
        let open = &device.api;
        assert_eq!(open.get("/v1/devices/self").await.status, 200, "{name}");
        let path = format!("/v1/devices/{}", device.device_id);
        let revoked = world.acme.admin.delete(&path).await;
        assert_eq!(revoked.status, 200, "{}", revoked.text);

        // A request may overtake the closing of its connection.
        if let Ok(reply) = open.try_send(call.request(open)).await {
            let error = reply.error();
            let told = matches!(
                (reply.status, error),
                (401, "device_not_paired") | (403, "device_revoked")
            );
            assert!(told, "{name} on an open connection: {}", reply.text);
        }
        let new = device.on_a_new_connection();
        let answer = new.try_send(call.request(&new)).await;
        assert!(answer.is_err(), "{name} on a new connection: {answer:?}");
    }
}
