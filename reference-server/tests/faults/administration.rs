//! What an administrator changes at one of two replicas, as the other has it.

use std::sync::Arc;

use serde_json::json;

use crate::harness::{ADMIN, Api, DeviceKey, Flow, PASSWORD, ServerKey};
use crate::invariants::Invariants;
use crate::replicas::{deafen, two};
use crate::retry::until;
use crate::stage::Stage;

/// Once by the listener, and once by the other replica's own look.
pub(crate) async fn certificates_that_one_replica_takes_up_reach_the_other() {
    let mut stage = two().await;
    for is_deaf in [false, true] {
        let admin = platform_admin(&stage).await;
        let before = stage.clients.paired().await;
        if is_deaf {
            deafen(&stage).await;
        }
        let path = "/v1/admin/ssl/ca-cert/generate";
        let made = admin.post(path, json!({})).await;
        assert_eq!(made.status, 201, "{}", made.text);
        paired_by_the_new_ca(&stage).await;
        let earlier = before.holding.connections[1].try_get("/v1/devices/self");
        assert_eq!(earlier.await.unwrap(), 200);

        let (first_key, next_key) = (&stage.first_run.server_key, ServerKey::generate());
        for (old, new) in [(first_key, &next_key), (&next_key, first_key)] {
            let uploaded = moved(&stage, &admin, 0, old).upload(new).await;
            assert_eq!(
                uploaded.status,
                200,
                "{} {:#?}",
                uploaded.text,
                stage.logs()
            );
            let other = moved(&stage, &admin, 1, new);
            until("the other shows it", async || {
                other.try_get("/readyz").await.is_ok()
            })
            .await;
        }
        stage.link(1).set_flow(Flow::Pass);
    }
    Invariants::check(&mut stage).await;
}

/// The first replica pairs a device, and the second takes its certificate for good.
async fn paired_by_the_new_ca(stage: &Stage) {
    let clients = &stage.clients;
    let (id, code) = clients.register().await;
    let key = Arc::new(DeviceKey::generate());
    let pairing = json!({"pairing_code": code, "csr": key.csr(), "device_info": {}});
    let paired = clients.replicas[0].post("/v1/devices/pair", pairing).await;
    assert_eq!(paired.status, 200, "{}", paired.text);
    // The same key gets the same certificate.
    let device = clients.pair_with(&id, &code, key).await;
    assert_eq!(paired.json["certificate"], *device.holding.certificate);
    let own = &device.holding.connections[1];
    until("the other trusts the CA", async || {
        matches!(own.try_get("/v1/devices/self").await, Ok(200))
    })
    .await;
}

/// The platform's administrator, at the first replica.
pub(crate) async fn platform_admin(stage: &Stage) -> Api {
    stage.clients.replicas[0].sign_in(ADMIN, PASSWORD).await
}

/// The same caller at a replica that shows this certificate.
fn moved(stage: &Stage, caller: &Api, replica: usize, server_key: &ServerKey) -> Api {
    caller.moved_to_https(stage.replicas[replica].front.address, server_key)
}
