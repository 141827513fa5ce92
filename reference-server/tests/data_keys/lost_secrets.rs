//! A data key is lost that the secrets of the first start were under, and nobody rotated.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Output;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use biowave_client::simulator::palm_png;
use identity_store::NamedSecret;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use super::harness::{
    ADMIN, Api, DeviceKey, FIRST_PASSWORD, Fresh, PASSWORD, Platform, Process, Reply,
};
use super::{NEW, OLD, VARIABLE, both, command, pair, reconnected, restart, start};

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

/// What the metrics listener says is lost, and how.
async fn lost(process: &Process) -> BTreeMap<String, String> {
    let ready = Api::plain(process.metrics).get("/readyz").await;
    expect(&ready, 200);
    let lost = ready.json["lost_secrets"].as_array().expect("secrets");
    let named = lost
        .iter()
        .map(|lost| (text(&lost["name"]), text(&lost["why"])));
    named.collect()
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
        scene.platform.process.terminate();
        scene.start();
        scene
    }

    /// Starts with the key that is left.
    fn start(&mut self) {
        start(&mut self.platform, NEW);
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

    /// What operators are told is lost, and others are not.
    async fn lost(&self) -> BTreeMap<String, String> {
        let lost = lost(&self.platform.process).await;
        let ready = self.platform.admin.get("/readyz").await;
        expect(&ready, 200);
        assert_eq!(ready.json["issuing"], "UP");
        assert_eq!(ready.json["degraded"], !lost.is_empty());
        let named = NamedSecret::ALL.map(NamedSecret::as_str);
        assert!(!named.iter().any(|name| ready.text.contains(name)));
        lost
    }

    /// What a command of the program came to.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        run(self.platform.directory.path(), NEW, arguments)
    }
}

/// What a command of the program came to.
fn run(directory: &Path, keys: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command(directory, keys, arguments)
        .output()
        .expect("it runs");
    let mut said = String::from_utf8(stdout).expect("UTF-8");
    let _ = write!(said, "{}", String::from_utf8_lossy(&stderr));
    (status.code(), said)
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
    let all = NamedSecret::ALL.map(NamedSecret::as_str);
    let lost = all.map(|name| (name.to_owned(), "no_data_key".to_owned()));
    assert_eq!(scene.lost().await, BTreeMap::from(lost));
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
        let is_named = all.iter().any(|name| refused.text.contains(name));
        assert!(!is_named, "{}", refused.text);
    }
    let metadata = api.get("/.well-known/oauth-authorization-server").await;
    expect(&metadata, 200);
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

    let (status, said) = scene.run(&["keys", "replace", all[0]]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("a server uses the database"), "{said}");
    scene.platform.process.terminate();
    for name in all {
        let (status, said) = scene.run(&["keys", "replace", name]);
        assert_eq!(status, Some(0), "{said}");
        assert!(said.contains("start every server anew"), "{said}");
        let (status, said) = scene.run(&["keys", "replace", name]);
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains("not lost"), "{said}");
    }
    scene.start();
    everything_works_again(&scene).await;
}

async fn everything_works_again(scene: &Scene) {
    assert!(scene.lost().await.is_empty());
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

/// Does to the database of a server that was ended what `statements` say.
async fn alter(directory: &Path, statements: &str) {
    let options = SqliteConnectOptions::new().filename(directory.join("identity.db"));
    let mut raw = options.connect().await.expect("it opens");
    let altered = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
    altered.execute(&mut raw).await.expect("it is altered");
    raw.close().await.expect("it closes");
}

const TAKE_ONE_AND_ALTER_ONE: &str = "
    DELETE FROM platform_secrets WHERE kind = 'token_signing_key';
    UPDATE platform_secrets SET secret =
        (SELECT secret FROM platform_secrets WHERE kind = 'pairing_pepper')
    WHERE kind = 'sample_digest_key'";

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_somebody_took_or_altered_come_back_from_a_backup_or_by_command() {
    let mut platform = Platform::first_run_with(&[(VARIABLE, OLD)]).await;
    let directory = platform.directory.path().to_owned();
    let run = |arguments: &[&str]| run(&directory, OLD, arguments);
    let backup = directory.join("backup.db").display().to_string();
    let (status, said) = run(&["backup", &backup]);
    assert_eq!(status, Some(0), "{said}");
    let none = BTreeMap::new();

    platform.process.terminate();
    // The end logs what was signed, if nothing did before.
    let lines = platform.process.logged().lines();
    let head = lines.iter().rfind(|line| line.contains("audit head"));
    let head: Value = serde_json::from_str(head.expect("a signed head")).expect("JSON");
    let head = format!("--head={}", text(&head["signed"]));
    alter(&directory, TAKE_ONE_AND_ALTER_ONE).await;
    start(&mut platform, OLD);
    let told = [
        ("token_signing_key", "gone"),
        ("sample_digest_key", "altered"),
    ];
    let told = told.map(|(name, why)| (name.to_owned(), why.to_owned()));
    assert_eq!(lost(&platform.process).await, BTreeMap::from(told));
    platform.process.terminate();
    let (status, said) = run(&["audit", "verify"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("token_signing_key cannot be read (it is gone"),
        "{said}"
    );

    let restore = "
        INSERT OR REPLACE INTO platform_secrets SELECT * FROM backup.platform_secrets
        WHERE kind IN ('token_signing_key', 'sample_digest_key')";
    alter(
        &directory,
        &format!("ATTACH '{backup}' AS backup; {restore}"),
    )
    .await;
    start(&mut platform, OLD);
    assert_eq!(lost(&platform.process).await, none);
    let (status, said) = run(&["audit", "verify", &head]);
    assert_eq!(status, Some(0), "{said}");

    platform.process.terminate();
    alter(&directory, TAKE_ONE_AND_ALTER_ONE).await;
    for (arguments, ends, says) in [
        (&["token_signing_key"][..], 0, "was replaced"),
        (&["sample_digest_key"], 1, "was altered"),
        (&["sample_digest_key", "--altered"], 0, "was replaced"),
    ] {
        let (status, said) = run(&[&["keys", "replace"], arguments].concat());
        assert_eq!(status, Some(ends), "{said}");
        assert!(said.contains(says), "{said}");
    }
    start(&mut platform, OLD);
    assert_eq!(lost(&platform.process).await, none);
    platform.process.terminate();
    let (status, said) = run(&["audit", "verify"]);
    assert_eq!(status, Some(0), "{said}");
    // What the key from before signed is nobody's now.
    let (status, said) = run(&["audit", "verify", &head]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("--head"), "{said}");
}
