use serde_json::{Value, json};

use crate::harness::ServerKey;
use crate::sink::Sink;
use crate::world::{World, deliveries, https, register_device, tenant, text, webhook};

pub(crate) async fn an_event_reaches_its_own_tenants_endpoints_alone() {
    let world = World::start().await;
    let other = tenant(&world.fresh, &world.platform, "other").await;
    world.webhook(&world.acme, "/ok1", &["device.*"]).await;
    world.webhook(&world.acme, "/ok2", &["user.*"]).await;
    let (others, _) = world.webhook(&other, "/ok3", &["*"]).await;
    let scope = json!({
        "url": world.sink.url("/ok4"), "events": ["*"], "scope": "platform",
    });
    let platforms = world.platform.post("/v1/webhooks", scope).await.json;

    let device_id = register_device(&world.acme).await;
    let came = world.sink.next("/ok1");
    let event = came.json();
    assert_eq!(event["type"], "device.created");
    assert_eq!(event["tenant_id"], "acme");
    assert_eq!(
        (&event["subject"], &event["sequence"]),
        (&json!(device_id), &json!(1))
    );
    assert_eq!(event["data"]["device_id"], device_id);
    assert_eq!(came.header("webhook-id"), event["id"]);
    assert_eq!(came.header("content-type"), "application/json");

    let edit = json!({"device_name": "Front desk", "location": null, "tags": {}});
    let edited = world
        .acme
        .put(&format!("/v1/devices/{device_id}"), edit)
        .await;
    assert_eq!(edited.status, 200, "{}", edited.text);
    let second = world.sink.next("/ok1").json();
    assert_eq!(
        (&second["type"], &second["sequence"]),
        (&json!("device.updated"), &json!(2))
    );
    // A gap is filled by what was sent.
    let path = format!("/v1/events?subject={device_id}");
    let events = world.acme.get(&path).await.json;
    assert_eq!(events["data"], json!([event, second]));
    let page = world.acme.get(&format!("{path}&limit=1")).await.json;
    assert_eq!(page["data"], json!([event]));
    let next = text(&page["next_cursor"]);
    let page = world
        .acme
        .get(&format!("{path}&limit=1&cursor={next}"))
        .await;
    assert_eq!(page.json, json!({"data": [second], "next_cursor": null}));
    let page = world.acme.get(&format!("{path}&after_sequence=1")).await;
    assert_eq!(page.json["data"], json!([second]));
    for api in [&other, &world.platform] {
        assert_eq!(api.get(&path).await.json["data"], json!([]));
    }

    // What comes behind it comes alone.
    for (api, id, path) in [
        (&other, others, "/ok3"),
        (&world.platform, text(&platforms["webhook_id"]), "/ok4"),
    ] {
        let sent = api
            .post(&format!("/v1/webhooks/{id}/test"), json!({}))
            .await;
        assert_eq!(sent.status, 202, "{}", sent.text);
        let test = world.sink.next(path).json();
        assert_eq!(test["type"], "webhook.test");
        assert_eq!(test["subject"], id);
        assert_eq!(world.sink.all(path).len(), 1);
    }
    assert!(world.sink.all("/ok2").is_empty());
    assert_eq!(world.sink.all("/ok1").len(), 2);
}

pub(crate) async fn the_platforms_endpoints_hear_of_expiring_certificates() {
    let (platform, sink) = (https().await, Sink::start());
    let webhook = json!({
        "url": sink.url("/ok"), "events": ["platform.server_cert.*"], "scope": "platform",
    });
    let made = platform.admin.post("/v1/webhooks", webhook).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let key = ServerKey::expiring_in(time::Duration::days(10) + time::Duration::HOUR);
    let uploaded = platform.admin.upload(&key).await;
    assert_eq!(uploaded.status, 200, "{}", uploaded.text);
    let admin = platform
        .admin
        .moved_to_https(platform.process.address, &key);
    let run = admin
        .post("/v1/admin/jobs/cert-expiry/run", json!({}))
        .await;
    assert_eq!(run.status, 200, "{}", run.text);
    let event = sink.next("/ok").json();
    assert_eq!(event["type"], "platform.server_cert.expiring");
    assert_eq!(event["tenant_id"], Value::Null);
    assert_eq!(event["data"]["threshold_days"], 14);
    assert_eq!(event["data"]["fingerprint"], uploaded.json["fingerprint"]);
}

pub(crate) async fn what_failed_is_tried_again_under_the_same_id() {
    let world = World::start().await;
    let (api, sink) = (&world.acme, &world.sink);
    let (fails, _) = world.webhook(api, "/fails", &["*"]).await;
    let (later, _) = world.webhook(api, "/later", &["*"]).await;
    register_device(api).await;
    let tries = [sink.next("/fails"), sink.next("/fails")];
    let [first, second] = &tries;
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert_eq!(first.body, second.body);
    let at = |it: &crate::sink::Received| it.header("webhook-timestamp").parse::<i64>().unwrap();
    assert!(at(first) < at(second));
    assert_ne!(
        first.header("webhook-signature"),
        second.header("webhook-signature")
    );

    let path = format!("/v1/webhooks/{fails}/deliveries");
    let delivery = loop {
        let listed = api.get(&path).await.json["data"][0].clone();
        if listed["tries"] == 2 {
            break listed;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(delivery["status"], "pending");
    assert_eq!(delivery["event_id"], first.header("webhook-id"));
    let tried = &delivery["last_try"];
    assert_eq!(
        (&tried["response_status"], &tried["error"]),
        (&json!(500), &json!("answered 500"))
    );
    assert_eq!(tried["response_body"], "not today");
    assert!(delivery["next_try_at"].is_string());
    assert!(api.get(&format!("/v1/webhooks/{fails}")).await.json["failing_since"].is_string());
    for (status, count) in [("pending", 1), ("failed", 0), ("delivered", 0)] {
        let listed = api.get(&format!("{path}?status={status}")).await.json;
        assert_eq!(listed["data"].as_array().unwrap().len(), count, "{status}");
    }
    // Asked to come back in an hour, nobody comes in five seconds.
    assert_eq!(sink.all("/later").len(), 1);
    let listed = api
        .get(&format!("/v1/webhooks/{later}/deliveries"))
        .await
        .json;
    let waits = &listed["data"][0];
    assert_eq!(
        (&waits["status"], &waits["tries"]),
        (&json!("pending"), &json!(1))
    );

    // It goes where it should have gone, once somebody says where.
    let moved = json!({"url": sink.url("/ok"), "events": ["*"]});
    let edited = api.put(&format!("/v1/webhooks/{fails}"), moved).await;
    assert_eq!(edited.status, 200, "{}", edited.text);
    let id = text(&delivery["delivery_id"]);
    let resent = api
        .post(&format!("/v1/webhook-deliveries/{id}/resend"), json!({}))
        .await;
    assert_eq!(
        (resent.status, &resent.json["tries"]),
        (200, &json!(0)),
        "{}",
        resent.text
    );
    assert_eq!(
        sink.next("/ok").header("webhook-id"),
        first.header("webhook-id")
    );
    deliveries(api, &fails, "delivered", 1).await;
    assert_eq!(
        api.get(&format!("/v1/webhooks/{fails}")).await.json["failing_since"],
        Value::Null
    );
}

pub(crate) async fn an_endpoint_that_is_gone_is_disabled_and_recovers() {
    let world = World::start().await;
    let (api, sink) = (&world.acme, &world.sink);
    let (id, _) = world.webhook(api, "/gone", &["device.created"]).await;
    let path = format!("/v1/webhooks/{id}");
    let since = api.get(&path).await.json["created_at"].clone();
    let lost = register_device(api).await;
    deliveries(api, &id, "failed", 1).await;
    let disabled = api.get(&path).await.json;
    assert_eq!(
        (&disabled["enabled"], &disabled["disabled_reason"]),
        (&json!(false), &json!("gone"))
    );
    world.webhook(api, "/ok1", &["device.created"]).await;
    let missed = register_device(api).await;
    // Now it is on its way to those who are to have it.
    assert_eq!(text(&sink.next("/ok1").json()["subject"]), missed);
    for route in ["test", "recover"] {
        let refused = api
            .post(&format!("{path}/{route}"), json!({"since": since}))
            .await;
        assert_eq!(refused.error(), "webhook_disabled", "{route}");
    }

    let moved = json!({"url": sink.url("/ok"), "events": ["device.created"]});
    assert_eq!(api.put(&path, moved).await.status, 200);
    let enabled = api.post(&format!("{path}/enable"), json!({})).await;
    assert_eq!(
        (enabled.status, &enabled.json["enabled"]),
        (200, &json!(true))
    );
    // What happened while it was disabled does not come by itself.
    let sent = api.post(&format!("{path}/test"), json!({})).await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    assert_eq!(sink.next("/ok").json()["type"], "webhook.test");
    let recovered = api
        .post(&format!("{path}/recover"), json!({"since": since}))
        .await;
    assert_eq!(
        recovered.json,
        json!({"recovered": 2, "more": false}),
        "{}",
        recovered.text
    );
    let mut came =
        [sink.next("/ok").json(), sink.next("/ok").json()].map(|it| text(&it["subject"]));
    let mut expected = [lost, missed];
    came.sort();
    expected.sort();
    assert_eq!(came, expected);
    deliveries(api, &id, "delivered", 3).await;
    let again = api
        .post(&format!("{path}/recover"), json!({"since": since}))
        .await;
    assert_eq!(again.json["recovered"], 0);
}

pub(crate) async fn no_endpoint_holds_another_up() {
    let world = World::start().await;
    let (api, sink) = (&world.acme, &world.sink);
    let bad = ["/hangs", "/drips", "/floods", "/redirects"];
    for path in bad {
        world.webhook(api, path, &["*"]).await;
    }
    // Nobody listens there.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    webhook(api, &format!("http://{address}/"), &["*"]).await;
    for _ in 0..30 {
        register_device(api).await;
    }
    for path in bad {
        sink.next(path);
    }
    // One that is made when all of them have their tries under way has its events all the same: of a kind that
    // did not happen before.
    let (good, _) = world.webhook(api, "/ok", &["user.created"]).await;
    for _ in 0..10 {
        let made = api.post("/v1/users", json!({})).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    deliveries(api, &good, "delivered", 10).await;
    assert_eq!(sink.all("/ok").len(), 10, "a redirect is not followed");
    let health = world.fresh.api().get("/readyz").await;
    assert_eq!(health.status, 200, "{}", health.text);
}
