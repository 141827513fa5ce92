use serde_json::{Value, json};

use crate::harness::{Api, Fresh, Platform};
use crate::sink::{PATIENCE, Sink};

/// A server in development, a tenant's administrator, and a receiver.
pub(crate) struct World {
    pub(crate) fresh: Fresh,
    pub(crate) platform: Api,
    pub(crate) acme: Api,
    pub(crate) sink: Sink,
}

impl World {
    pub(crate) async fn start() -> Self {
        let fresh = Fresh::start(&[("IDENTITY_WEBHOOK_ALLOW_LOOPBACK", "true")]);
        let platform = crate::harness::sign_in_for_the_first_time(&fresh.api()).await;
        let acme = tenant(&fresh, &platform, "acme").await;
        let sink = Sink::start();
        Self {
            fresh,
            platform,
            acme,
            sink,
        }
    }

    /// An endpoint of this caller's at a path of the receiver; its id and its secret.
    pub(crate) async fn webhook(&self, api: &Api, path: &str, events: &[&str]) -> (String, String) {
        webhook(api, &self.sink.url(path), events).await
    }
}

pub(crate) async fn webhook(api: &Api, url: &str, events: &[&str]) -> (String, String) {
    let made = api
        .post("/v1/webhooks", json!({"url": url, "events": events}))
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    (text(&made.json["webhook_id"]), text(&made.json["secret"]))
}

/// Makes a tenant and its administrator on a server that still speaks HTTP.
pub(crate) async fn tenant(fresh: &Fresh, platform: &Api, tenant_id: &str) -> Api {
    let tenant = json!({"tenant_id": tenant_id, "name": tenant_id});
    let made = platform.post("/v1/admin/tenants", tenant).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let email = format!("admin@{tenant_id}.example");
    let first = "the first password of theirs";
    let user = json!({
        "email": email, "role": "tenant_admin", "tenant_id": tenant_id, "password": first,
    });
    let made = platform.post("/v1/admin/console-users", user).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let admin = fresh.api().sign_in(&email, first).await;
    let change = json!({"current_password": first, "new_password": "a password of their own"});
    let changed = admin.post("/v1/auth/password", change).await;
    assert_eq!(changed.status, 204, "{}", changed.text);
    admin
}

/// Lets something happen in the caller's tenant; returns the device that it happened to.
pub(crate) async fn register_device(api: &Api) -> String {
    let device = json!({"device_name": "Desk"});
    let made = api.post("/v1/devices", device).await;
    assert_eq!(made.status, 201, "{}", made.text);
    text(&made.json["device_id"])
}

/// The deliveries of an endpoint, once all of them are of that status, and there are so many.
pub(crate) async fn deliveries(api: &Api, webhook: &str, status: &str, count: usize) -> Vec<Value> {
    let path = format!("/v1/webhooks/{webhook}/deliveries");
    let mut all = Vec::new();
    let so = async {
        loop {
            let listed = api.get(&path).await;
            assert_eq!(listed.status, 200, "{}", listed.text);
            all.clone_from(listed.json["data"].as_array().unwrap());
            assert!(all.len() <= count, "{}", listed.text);
            if all.len() == count && all.iter().all(|it| it["status"] == status) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, so).await;
    assert!(in_time.is_ok(), "not {count} that are {status}: {all:?}");
    all
}

/// A server that is set up, in development.
pub(crate) async fn https() -> Platform {
    Platform::first_run_with(&[("IDENTITY_WEBHOOK_ALLOW_LOOPBACK", "true")]).await
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}
