use http::Method;
use serde_json::{Value, json};

use crate::calls::answer;
use crate::platform::Platform;

#[tokio::test]
async fn bindings_follow_the_class() {
    let platform = Platform::start().await;
    for (more, error) in [
        (json!({"bound_product": "wallet"}), "binding_not_allowed"),
        (
            json!({"device_class": "gate", "bound_product": "access"}),
            "binding_required",
        ),
        (json!({"device_class": "kiosk"}), "binding_required"),
        (json!({"device_class": "toaster"}), "validation_failed"),
        (json!({"color": "red"}), "validation_failed"),
        (json!({"tags": {"a:b": "c"}}), "validation_failed"),
    ] {
        let mut body = json!({"device_name": "Door"});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        platform
            .admin
            .post("/v1/devices", body)
            .await
            .refused(422, error);
    }
    let body = json!({"device_name": "K", "device_class": "kiosk", "bound_product": "wallet"});
    let kiosk = platform.admin.post("/v1/devices", body).await.expect(201);
    let path = format!("/v1/devices/{}", kiosk["device_id"].as_str().unwrap());
    let kiosk = platform.admin.get(&path).await.expect(200);
    assert_eq!(kiosk["bound_action"], "signup");
    let edit = json!({"location": "Hall", "tags": {"floor": "2"}, "bound_action": "enroll"});
    let edited = platform.admin.put(&path, edit).await.expect(200);
    assert_eq!(
        (&edited["location"], &edited["device_name"]),
        (&json!("Hall"), &json!("K"))
    );
    assert_eq!(
        (&edited["bound_action"], &edited["tags"]["floor"]),
        (&json!("enroll"), &json!("2"))
    );
}

#[tokio::test]
async fn devices_are_listed_by_what_they_are() {
    let platform = Platform::start().await;
    let scanner = platform.scanner().await;
    let body = json!({"device_name": "Spare", "tags": {"site": "Berlin"}});
    let spare = platform.admin.post("/v1/devices", body).await.expect(201);
    let (paired, spare) = (json!(scanner.device_id), spare["device_id"].clone());
    for (query, expected) in [
        ("", vec![&spare, &paired]),
        ("?status=paired", vec![&paired]),
        ("?status=revoked", vec![]),
        ("?device_class=gate", vec![]),
        ("?tag=site:Berlin", vec![&spare]),
        ("?tag=site:Bonn", vec![]),
        ("?cert_state=ok", vec![&paired]),
        ("?cert_state=none", vec![&spare]),
        ("?cert_state=renew_due", vec![]),
        ("?connectivity=online", vec![]),
        ("?q=SPARE", vec![&spare]),
        ("?limit=1", vec![&spare]),
    ] {
        let page = platform
            .admin
            .get(&format!("/v1/devices{query}"))
            .await
            .expect(200);
        let ids: Vec<&Value> = page["data"].as_array().unwrap().iter().collect();
        let ids: Vec<&Value> = ids.into_iter().map(|device| &device["device_id"]).collect();
        assert_eq!(ids, expected, "{query}");
        if let Some(cursor) = page["next_cursor"].as_str() {
            let next = format!("/v1/devices?limit=1&cursor={cursor}");
            let next = platform.admin.get(&next).await.expect(200);
            assert_eq!(next["data"][0]["device_id"], paired);
            assert_eq!(next["next_cursor"], Value::Null);
        }
    }
    for bad in [
        "?status=lost",
        "?tag=x",
        "?limit=0",
        "?cursor=!",
        "?colour=red",
    ] {
        let refused = platform.admin.get(&format!("/v1/devices{bad}")).await;
        refused.refused(422, "validation_failed");
    }
}

#[tokio::test]
async fn nothing_is_looked_for_that_has_control_characters() {
    let platform = Platform::start().await;
    for query in [
        "devices?q=a%00",
        "devices?tag=site:%00",
        "challenges?client_reference=a%0A",
        // What `7 a` and NUL are in base64url.
        "users?cursor=NyBhAA",
    ] {
        let refused = platform.admin.get(&format!("/v1/{query}")).await;
        refused.refused(422, "validation_failed");
    }
}

#[tokio::test]
async fn a_repeated_registration_is_the_same_one() {
    let platform = Platform::start().await;
    let register = |name: &str| {
        let request = platform.admin.request(Method::POST, "/v1/devices");
        let body = json!({"device_name": name});
        answer(request.header("Idempotency-Key", "one").json(&body))
    };
    let first = register("A").await;
    let again = register("A").await;
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(again.expect(201), first.expect(201));
    register("B").await.refused(422, "idempotency_key_reused");
    let page = platform.admin.get("/v1/devices").await.expect(200);
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
}
