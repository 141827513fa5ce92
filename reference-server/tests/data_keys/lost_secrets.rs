//! A data key is lost that the secrets of the first start were under, and nobody rotated.

use std::fmt::Write as _;
use std::process::Output;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use biowave_client::simulator::palm_png;
use identity_store::NamedSecret;
use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{
    ADMIN, Api, DeviceKey, FIRST_PASSWORD, Fresh, PASSWORD, Platform, Process, Reply,
};
use super::{NEW, OLD, VARIABLE, both, command, pair, reconnected, restart};

/// A platform whose certificates are under the key that is left, and its secrets under the lost one.
struct Scene {
    platform: Platform,
    /// An administrator of the tenant, whose address can be read.
    tenant: Api,
    key: DeviceKey,
    certificate: String,
    /// A challenge of the device's.
    challenge: String,
    client: (String, String),
    access_token: String,
}

#[track_caller]
fn expect(reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{}", reply.text);
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

impl Scene {
    async fn set() -> Self {
        let mut platform = Platform::first_run_with(&[(VARIABLE, OLD)]).await;
        restart(&mut platform, &both(NEW, OLD));
        expect(&platform.admin.upload(&platform.server_key).await, 200);
        let made = platform
            .admin
            .post("/v1/admin/ssl/ca-cert/generate", json!({}));
        expect(&made.await, 201);
        let tenant = platform.tenant("acme").await;
        let client = json!({"name": "backend", "scopes": ["devices.read"]});
        let client = tenant.post("/v1/oauth-clients", client).await;
        expect(&client, 201);
        let client = (
            text(&client.json["client_id"]),
            text(&client.json["client_secret"]),
        );
        let key = DeviceKey::generate();
        let paired = pair(&platform, &tenant, &key).await;
        expect(&paired, 200);
        expect(
            &tenant.post("/v1/users", json!({"user_id": "ada"})).await,
            201,
        );
        let consent = json!({
            "user_id": "ada", "consent_type": "palm_biometric", "version": "1",
            "purposes": ["verification"], "granted": true, "method": "signature",
        });
        expect(&tenant.post("/v1/consent", consent).await, 201);
        let enroll = json!({
            "user_id": "ada", "device_id": paired.json["device_id"], "type": "left",
        });
        let challenge = tenant.post("/v1/enroll", enroll).await;
        expect(&challenge, 201);
        let mut scene = Self {
            certificate: text(&paired.json["certificate"]),
            challenge: text(&challenge.json["challenge_id"]),
            access_token: String::new(),
            platform,
            tenant,
            key,
            client,
        };
        scene.access_token = text(&scene.token().await.json["access_token"]);
        scene.restart();
        scene
    }

    /// Restarts with the key that is left.
    fn restart(&mut self) {
        restart(&mut self.platform, NEW);
        self.tenant = reconnected(&self.platform, &self.tenant);
    }

    async fn token(&self) -> Reply {
        let api = self.platform.api();
        let (id, secret) = &self.client;
        let request = api.request(Method::POST, "/v1/auth/token");
        let request = request
            .basic_auth(id, Some(secret))
            .header("content-type", "application/x-www-form-urlencoded")
            .body("grant_type=client_credentials");
        api.send(request).await
    }

    async fn log_in(&self, email: &str) -> Reply {
        let login = json!({"email": email, "password": PASSWORD});
        self.platform.api().post("/v1/auth/login", login).await
    }

    fn device(&self) -> Api {
        self.platform.device(&self.key, &self.certificate)
    }

    async fn complete(&self) -> Reply {
        let image = STANDARD.encode(palm_png(7, 0));
        let capture = json!({"palm_template": {"image_rgb": image, "image_ir": image}});
        let path = format!("/v1/challenges/{}/complete", self.challenge);
        self.device().post(&path, capture).await
    }

    async fn register(&self) -> Reply {
        let device = json!({"device_name": "Counter"});
        self.tenant.post("/v1/devices", device).await
    }

    async fn lost(&self) -> Value {
        let ready = self.platform.admin.get("/readyz").await;
        expect(&ready, 200);
        assert_eq!(ready.json["issuing"], "UP");
        ready.json["lost_secrets"].clone()
    }

    /// What a command of the program came to.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let directory = self.platform.directory.path();
        let Output {
            status,
            stdout,
            stderr,
        } = command(directory, NEW, arguments)
            .output()
            .expect("it runs");
        let mut said = String::from_utf8(stdout).expect("UTF-8");
        let _ = write!(said, "{}", String::from_utf8_lossy(&stderr));
        (status.code(), said)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_are_lost_close_what_needs_them_and_can_be_replaced() {
    let mut scene = Scene::set().await;
    for name in NamedSecret::ALL {
        let told = scene.platform.process.logged().lines();
        let told = told.iter().find(|line| {
            line.contains("is lost") && line.contains(name.as_str()) && line.contains("ERROR")
        });
        assert!(told.is_some(), "{name:?}");
    }
    let mut names: Vec<Value> = serde_json::from_value(scene.lost().await).expect("names");
    names.sort_by_key(Value::to_string);
    let all = [
        "email_digest_key",
        "pairing_pepper",
        "sample_digest_key",
        "token_signing_key",
    ];
    assert_eq!(names, all);
    let metrics = Api::plain(scene.platform.process.metrics)
        .get("/metrics")
        .await;
    assert!(
        metrics.text.contains("\nsecrets_lost 4\n"),
        "{}",
        metrics.text
    );

    let api = scene.platform.api();
    let code = json!({
        "pairing_code": "ABC-DEF-123", "csr": DeviceKey::generate().csr(), "device_info": {},
    });
    for (what, refused) in [
        ("sign-in", scene.log_in(ADMIN).await),
        ("token", scene.token().await),
        (
            "bearer",
            api.with_bearer(&scene.access_token)
                .get("/v1/devices")
                .await,
        ),
        ("keys", api.get("/.well-known/jwks.json").await),
        ("new code", scene.register().await),
        ("pairing", api.post("/v1/devices/pair", code).await),
        ("sample", scene.complete().await),
    ] {
        assert_eq!(
            (
                refused.status,
                refused.error(),
                refused.header("retry-after")
            ),
            (503, "unavailable", Some("30")),
            "{what}: {}",
            refused.text
        );
    }
    // Sessions, lists, administration, polls and renewals go on.
    expect(&scene.tenant.get("/v1/devices").await, 200);
    expect(&scene.tenant.get("/v1/users/ada").await, 200);
    expect(
        &scene
            .tenant
            .post("/v1/users", json!({"user_id": "eve"}))
            .await,
        201,
    );
    let device = scene.device();
    let polled = device.get("/v1/challenges/pending?wait=0").await;
    expect(&polled, 200);
    assert!(polled.text.contains(&scene.challenge), "{}", polled.text);
    let key = DeviceKey::generate();
    let renewed = device.post("/v1/devices/renew", json!({"csr": key.csr()}));
    let renewed = renewed.await;
    expect(&renewed, 200);
    scene.certificate = text(&renewed.json["certificate"]);
    scene.key = key;

    let (status, said) = scene.run(&["audit", "verify"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("ok      the chain of tenant acme: ") && said.contains("token_signing_key"),
        "{said}"
    );
    let (status, said) = scene.run(&["keys", "rotate"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("platform_secrets.secret of pairing_pepper"),
        "{said}"
    );

    for name in all {
        let (status, said) = scene.run(&["keys", "replace", name]);
        assert_eq!(status, Some(0), "{said}");
        assert!(said.contains("start every server anew"), "{said}");
        let (status, said) = scene.run(&["keys", "replace", name]);
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains("not lost"), "{said}");
    }
    scene.restart();
    everything_works_again(&scene).await;
}

async fn everything_works_again(scene: &Scene) {
    assert_eq!(scene.lost().await, json!([]));
    expect(&scene.register().await, 201);
    let paired = pair(&scene.platform, &scene.tenant, &DeviceKey::generate()).await;
    expect(&paired, 200);
    expect(&scene.log_in("tenant_admin@acme.example").await, 200);
    let token = scene.token().await;
    expect(&token, 200);
    let caller = scene
        .platform
        .api()
        .with_bearer(&text(&token.json["access_token"]));
    expect(&caller.get("/v1/devices").await, 200);
    expect(&scene.complete().await, 200);

    // The first administrator's address is lost; it is set anew.
    expect(&scene.log_in(ADMIN).await, 401);
    let me = scene.platform.admin.get("/v1/auth/me").await;
    let path = format!("/v1/admin/console-users/{}", text(&me.json["id"]));
    let moved = scene
        .platform
        .admin
        .put(&path, json!({"email": ADMIN}))
        .await;
    expect(&moved, 200);
    expect(&scene.log_in(ADMIN).await, 200);
    scene.platform.process.log_line("audit head");
    let (status, said) = scene.run(&["audit", "verify"]);
    assert_eq!(status, Some(0), "{said}");
}

#[tokio::test]
async fn a_known_data_key_that_opens_nothing_stops_the_start() {
    let mut fresh = Fresh::start(&[(VARIABLE, OLD)]);
    fresh.process.terminate();
    let directory = fresh.directory.path();
    fresh.process = Process::start(directory, "127.0.0.1:0", &[(VARIABLE, &both(NEW, OLD))]);
    fresh.api().sign_in(ADMIN, FIRST_PASSWORD).await;
    fresh.process.terminate();
    let ended = command(directory, NEW, &["serve"])
        .output()
        .expect("it runs");
    assert_eq!(ended.status.code(), Some(1));
    let log = String::from_utf8_lossy(&ended.stderr).into_owned();
    let last = log.lines().last().unwrap_or_default();
    assert!(
        last.contains("none of the platform's secrets can be decrypted"),
        "{log}"
    );
}
