//! What has to be there for a call to be a good one: each object is made when it is first needed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use biowave_client::simulator::palm_png;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::harness::{Api, CaKey, DeviceKey, FIRST_PASSWORD, PASSWORD, Reply};
use crate::world::{Tenant, World};

/// An address of this machine's at which nobody is.
const NOBODY_LISTENS: &str = "http://127.0.0.1:9/";

/// Objects of a tenant that belong together: the challenge is the user's and the device's.
pub(crate) struct Objects<'w> {
    pub(crate) world: &'w World,
    tenant: &'w Tenant,
    class: &'static str,
    device: OnceCell<Device>,
    user: OnceCell<String>,
    erasure: OnceCell<String>,
    challenge: OnceCell<String>,
    client: OnceCell<String>,
    console_user: OnceCell<ConsoleUser>,
    new_tenant: OnceCell<String>,
    prepared_ca: OnceCell<String>,
    /// Whoever has webhooks: the tenant, or the platform.
    listener: &'w Api,
    webhook: OnceCell<String>,
    delivery: OnceCell<String>,
    ca: CaKey,
}

/// A paired device, and a client that connects with its certificate.
pub(crate) struct Device {
    pub(crate) device_id: String,
    pub(crate) api: Api,
    key: DeviceKey,
    certificate: String,
}

impl Device {
    /// A client that has no connection yet.
    pub(crate) fn on_a_new_connection(&self) -> Api {
        self.api.with_certificate(&self.key, &self.certificate)
    }
}

/// A signed-in administrator of the tenant, who has another session too.
pub(crate) struct ConsoleUser {
    pub(crate) api: Api,
    id: String,
    other_session: String,
}

impl<'w> Objects<'w> {
    pub(crate) fn of(world: &'w World, tenant: &'w Tenant) -> Self {
        Self::with_device_class(world, tenant, "personal_scanner")
    }

    pub(crate) fn with_device_class(
        world: &'w World,
        tenant: &'w Tenant,
        class: &'static str,
    ) -> Self {
        Self {
            world,
            tenant,
            class,
            device: OnceCell::new(),
            user: OnceCell::new(),
            erasure: OnceCell::new(),
            challenge: OnceCell::new(),
            client: OnceCell::new(),
            console_user: OnceCell::new(),
            new_tenant: OnceCell::new(),
            prepared_ca: OnceCell::new(),
            listener: &tenant.admin,
            webhook: OnceCell::new(),
            delivery: OnceCell::new(),
            ca: CaKey::generate(),
        }
    }

    /// Objects whose webhooks are the platform's own.
    pub(crate) fn with_the_platforms_webhooks(world: &'w World, tenant: &'w Tenant) -> Self {
        Self {
            listener: &world.platform.admin,
            ..Self::of(world, tenant)
        }
    }

    /// The value of a path parameter: an id of something that is there. `place` is the route's path up
    /// to the parameter.
    pub(crate) async fn parameter(&self, place: &str) -> String {
        let (_, name) = place.rsplit_once('/').expect("a path");
        match (place, name) {
            ("/v1/admin/console-users/{id}", _) => self.console_user().await.id.clone(),
            ("/v1/auth/sessions/{id}", _) => self.console_user().await.other_session.clone(),
            (_, "{fingerprint}") => self.prepared_ca().await.to_owned(),
            (_, "{job_id}") => "job_01arz3ndektsv4rrffq69g5fav".to_owned(),
            (_, "{tenant_id}") => self.new_tenant().await.to_owned(),
            (_, "{device_id}") => self.device().await.device_id.clone(),
            (_, "{erasure_id}") => self.erasure().await.to_owned(),
            (_, "{user_id}") => self.user().await.to_owned(),
            (_, "{challenge_id}") => self.challenge().await.to_owned(),
            (_, "{client_id}") => self.client().await.to_owned(),
            (_, "{webhook_id}") => self.webhook().await.to_owned(),
            (_, "{delivery_id}") => self.delivery().await.to_owned(),
            _ => panic!(
                "say in reference-server/tests/access/objects.rs what `{place}` is to be filled with"
            ),
        }
    }

    /// The id that a member of a body, or a query parameter, of this name is to have.
    pub(crate) async fn id(&self, name: &str) -> Option<String> {
        match name {
            "device_id" => Some(self.device().await.device_id.clone()),
            "user_id" => Some(self.user().await.to_owned()),
            _ => None,
        }
    }

    /// The value of a body's member where its type alone does not say what is good.
    pub(crate) fn member(&self, schema: &str, name: &str) -> Option<Value> {
        let image = || STANDARD.encode(palm_png(7, 1));
        let server = &self.world.platform.server_key;
        Some(match (schema, name) {
            ("NewTenant", "tenant_id") => json!(self.world.name()),
            ("NewConsoleUser", "email") => json!(format!("{}@example.com", self.world.name())),
            ("NewConsoleUser", "role") => json!("platform_admin"),
            ("PasswordChange", "current_password") => json!(PASSWORD),
            ("PasswordChange", "new_password") => json!("another password of theirs"),
            ("Enrollment", "type") => json!("left"),
            ("KycOutcome", "status") => json!("verified"),
            ("UserPalmPolicy", "allowed_types") => json!(["left"]),
            ("ClientRegistration", "scopes") => json!(["devices.read"]),
            // RFC 8037 Appendix A.2.
            ("ClientKeys", "keys") => json!([{
                "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            }]),
            ("Pairing" | "Renewal", "csr") => json!(DeviceKey::generate().csr()),
            ("PalmTemplate", "image_rgb" | "image_ir") => json!(image()),
            ("NewWebhook" | "WebhookSettings", "url") => json!(NOBODY_LISTENS),
            ("NewWebhook" | "WebhookSettings", "events") => json!(["*"]),
            ("BulkRequest", "action") => json!("tag"),
            ("BulkRequest", "tags") => json!({"site": "Bern"}),
            ("RevokeAll", "confirm") => json!(self.new_tenant.get()),
            ("CaUpload", "cert") => json!(self.ca.certificate_pem()),
            ("CaUpload", "key") => json!(self.ca.key_pem()),
            ("ServerCertUpload", "cert") => json!(server.chain_pem()),
            ("ServerCertUpload", "key") => json!(server.key_pem()),
            ("TenantConfig", "palm_duplicate_action") => json!("reject"),
            ("TenantConfig", "palm_policy") => json!({
                "mode": "all", "k": 4, "weights": [1, 1, 1, 1],
                "threshold_offset": [0, 0, 0, 0], "use": [0, 1, 2, 3], "min_margin": 0,
            }),
            ("TenantConfig", "max_open_challenges_per_device") => json!(5),
            _ => return None,
        })
    }

    pub(crate) async fn device(&self) -> &Device {
        self.device.get_or_init(|| self.pair()).await
    }

    async fn pair(&self) -> Device {
        let (product, action) = match self.class {
            "personal_scanner" => (None, None),
            _ => (Some("access"), Some("enter")),
        };
        let device = json!({
            "device_name": "Desk", "device_class": self.class,
            "bound_product": product, "bound_action": action,
        });
        let made = self.make("/v1/devices", device).await;
        let key = DeviceKey::generate();
        let pairing = json!({
            "pairing_code": made["pairing_code"], "csr": key.csr(), "device_info": {},
        });
        let nobody = self.world.platform.api();
        let paired = nobody.post("/v1/devices/pair", pairing).await;
        assert_eq!(paired.status, 200, "{}", paired.text);
        let certificate = text(&paired.json["certificate"]);
        Device {
            device_id: text(&made["device_id"]),
            api: self.world.platform.device(&key, &certificate),
            key,
            certificate,
        }
    }

    /// Somebody who has consented.
    async fn user(&self) -> &str {
        let make = async || {
            let user = text(&self.make("/v1/users", json!({})).await["user_id"]);
            let consent = json!({
                "user_id": user, "consent_type": "palm_biometric", "version": "1",
                "purposes": ["verification"], "granted": true, "method": "signature",
            });
            self.make("/v1/consent", consent).await;
            user
        };
        self.user.get_or_init(make).await
    }

    /// The erasure of somebody else.
    async fn erasure(&self) -> &str {
        let make = async || {
            let user = text(&self.make("/v1/users", json!({})).await["user_id"]);
            let admin = &self.tenant.admin;
            let request = admin.request(Method::DELETE, &format!("/v1/users/{user}"));
            let begun = admin.send(request.json(&json!({"reason": "a test"}))).await;
            assert_eq!(begun.status, 202, "{}", begun.text);
            text(&begun.json["erasure_id"])
        };
        self.erasure.get_or_init(make).await
    }

    async fn challenge(&self) -> &str {
        let make = async || {
            let (user_id, device) = (self.user().await, self.device().await);
            let enrollment =
                json!({"user_id": user_id, "device_id": device.device_id, "type": "left"});
            text(&self.make("/v1/enroll", enrollment).await["challenge_id"])
        };
        self.challenge.get_or_init(make).await
    }

    async fn client(&self) -> &str {
        let make = async || {
            let client = json!({"name": "backend", "scopes": ["devices.read"]});
            text(&self.make("/v1/oauth-clients", client).await["client_id"])
        };
        self.client.get_or_init(make).await
    }

    async fn webhook(&self) -> &str {
        let make = async || {
            let webhook = json!({"url": NOBODY_LISTENS, "events": ["*"]});
            let made = made(self.listener.post("/v1/webhooks", webhook).await);
            text(&made["webhook_id"])
        };
        self.webhook.get_or_init(make).await
    }

    /// One that is on its way.
    async fn delivery(&self) -> &str {
        let make = async || {
            let path = format!("/v1/webhooks/{}", self.webhook().await);
            let sent = self.listener.post(&format!("{path}/test"), json!({})).await;
            assert_eq!(sent.status, 202, "{}", sent.text);
            loop {
                let listed = self.listener.get(&format!("{path}/deliveries")).await;
                if let Some(delivery) = listed.json["data"].get(0) {
                    break text(&delivery["delivery_id"]);
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        self.delivery.get_or_init(make).await
    }

    pub(crate) async fn console_user(&self) -> &ConsoleUser {
        self.console_user.get_or_init(|| self.employ()).await
    }

    async fn employ(&self) -> ConsoleUser {
        let platform = &self.world.platform;
        let email = format!("{}@example.com", self.world.name());
        let user = json!({
            "email": email, "role": "tenant_admin", "tenant_id": self.tenant.tenant_id,
            "password": FIRST_PASSWORD,
        });
        let made = made(platform.admin.post("/v1/admin/console-users", user).await);
        let api = platform.api().sign_in(&email, FIRST_PASSWORD).await;
        let change = json!({"current_password": FIRST_PASSWORD, "new_password": PASSWORD});
        assert_eq!(api.post("/v1/auth/password", change).await.status, 204);
        let other = platform.api().sign_in(&email, PASSWORD).await;
        let sessions = other.get("/v1/auth/sessions").await.json;
        let mut sessions = sessions["data"].as_array().expect("sessions").iter();
        let current = sessions.find(|session| session["current"] == true);
        ConsoleUser {
            api,
            id: text(&made["id"]),
            other_session: text(&current.expect("a session")["id"]),
        }
    }

    /// A tenant of nobody's.
    async fn new_tenant(&self) -> &str {
        let make = async || {
            let tenant = json!({"tenant_id": self.world.name(), "name": "A tenant"});
            let admin = &self.world.platform.admin;
            text(&made(admin.post("/v1/admin/tenants", tenant).await)["tenant_id"])
        };
        self.new_tenant.get_or_init(make).await
    }

    /// A CA that does not issue.
    async fn prepared_ca(&self) -> &str {
        let make = async || {
            let admin = &self.world.platform.admin;
            let prepared = json!({"activate": false});
            let path = "/v1/admin/ssl/ca-cert/generate";
            text(&made(admin.post(path, prepared).await)["fingerprint"])
        };
        self.prepared_ca.get_or_init(make).await
    }

    async fn make(&self, path: &str, body: Value) -> Value {
        made(self.tenant.admin.post(path, body).await)
    }
}

fn made(reply: Reply) -> Value {
    assert_eq!(reply.status, 201, "{}", reply.text);
    reply.json
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}
