//! The palm story told to the real binary: its database, its TLS, its jobs, and a restart in the
//! middle. What each part does in detail is in `palm/`.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod harness;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use biowave_client::Operation;
use biowave_client::simulator::{Fault, PalmServer, palm_png};
use harness::{Api, DeviceKey, Platform, program};
use http::Method;
use serde_json::{Value, json};

const SCOPES: [&str; 8] = [
    "devices.write",
    "challenges.read",
    "challenges.write",
    "users.read",
    "users.write",
    "users.delete",
    "consent.read",
    "consent.write",
];

/// A platform with a palm server, an integrator of a tenant, and a scanner.
struct Scene {
    platform: Platform,
    palms: PalmServer,
    admin: Api,
    integrator: Api,
    key: DeviceKey,
    certificate: String,
    device_id: String,
}

impl Scene {
    async fn set() -> Self {
        let palms = PalmServer::start().await.unwrap();
        let url = palms.url().to_string();
        let platform = Platform::first_run_with(&[("BIOWAVE_URL", &url)]).await;
        let admin = platform.tenant("acme").await;
        let integrator = integrator(&platform, &admin).await;
        let key = DeviceKey::generate();
        let device = json!({"device_name": "Counter 1"});
        let registered = expect(integrator.post("/v1/devices", device).await, 201);
        let pairing = json!({
            "pairing_code": registered["pairing_code"], "csr": key.csr(), "device_info": {},
        });
        let paired = expect(platform.api().post("/v1/devices/pair", pairing).await, 200);
        Self {
            certificate: text(&paired["certificate"]),
            device_id: text(&paired["device_id"]),
            platform,
            palms,
            admin,
            integrator,
            key,
        }
    }

    fn scanner(&self) -> Api {
        self.platform.device(&self.key, &self.certificate)
    }

    async fn ask(&self, path: &str, more: Value) -> String {
        let mut body = json!({"user_id": "user_456", "device_id": self.device_id});
        let members = body.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        text(&expect(self.integrator.post(path, body).await, 201)["challenge_id"])
    }

    async fn consent(&self) {
        let consent = json!({
            "user_id": "user_456", "consent_type": "palm_biometric", "version": "1",
            "purposes": ["verification"], "granted": true, "method": "signature",
        });
        expect(self.integrator.post("/v1/consent", consent).await, 201);
    }

    async fn complete(&self, challenge: &str, palm: u64, noise: u64) -> Value {
        let image = |palm| STANDARD.encode(palm_png(palm, noise));
        let capture =
            json!({"palm_template": {"image_rgb": image(palm), "image_ir": image(!palm)}});
        let path = format!("/v1/challenges/{challenge}/complete");
        expect(self.scanner().post(&path, capture).await, 200)
    }
}

async fn integrator(platform: &Platform, admin: &Api) -> Api {
    let client = json!({"name": "backend", "scopes": SCOPES});
    let client = expect(admin.post("/v1/oauth-clients", client).await, 201);
    let (id, secret) = (text(&client["client_id"]), text(&client["client_secret"]));
    let request = platform.api().request(Method::POST, "/v1/auth/token");
    let form = "grant_type=client_credentials";
    let request = request
        .basic_auth(id, Some(secret))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let token = expect(platform.api().send(request).await, 200);
    platform.api().with_bearer(&text(&token["access_token"]))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[track_caller]
fn expect(reply: harness::Reply, status: u16) -> Value {
    assert_eq!(reply.status, status, "{}", reply.text);
    reply.json
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_asks_for_a_challenge_whose_receipt_is_the_tenants() {
    let scene = Scene::set().await;
    let user = json!({"user_id": "user_456"});
    expect(scene.integrator.post("/v1/users", user).await, 201);
    scene.consent().await;
    let challenge = scene.ask("/v1/enroll", json!({"type": "left"})).await;
    assert_eq!(scene.complete(&challenge, 7, 0).await["status"], "enrolled");
    let verify = json!({
        "user_id": "user_456", "device_id": scene.device_id, "context": "at_the_counter",
    });
    let asked = expect(scene.admin.post("/v1/verify", verify).await, 201);
    let challenge = text(&asked["challenge_id"]);
    let matched = scene.complete(&challenge, 7, 1).await;
    let receipt = text(&matched["receipt"]);
    let claims = receipt.split('.').nth(1).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(claims)
        .unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["aud"], "acme");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_palm_is_enrolled_survives_a_restart_and_is_verified() {
    let mut scene = Scene::set().await;
    let user = json!({"user_id": "user_456", "display_name": "Ada"});
    expect(scene.integrator.post("/v1/users", user).await, 201);
    scene.consent().await;
    let challenge = scene.ask("/v1/enroll", json!({"type": "left"})).await;
    assert_eq!(scene.complete(&challenge, 7, 0).await["status"], "enrolled");
    let challenge = scene
        .ask("/v1/verify", json!({"context": "e_signature"}))
        .await;
    let stranger = scene.complete(&challenge, 99, 0).await;
    assert_eq!(stranger["reason_code"], "not_found");

    scene.platform.restart();

    let pending = expect(
        scene.scanner().get("/v1/challenges/pending?wait=5").await,
        200,
    );
    assert_eq!(pending["challenges"][0]["challenge_id"], challenge.as_str());
    assert_eq!(pending["challenges"][0]["attempts_remaining"], 2);
    let replayed = scene.complete(&challenge, 99, 0).await;
    assert_eq!(
        replayed["reason_code"], "capture_replayed",
        "a restart forgets no sample"
    );
    let matched = scene.complete(&challenge, 7, 1).await;
    assert_eq!(matched["status"], "completed", "{matched}");
    let path = format!("/v1/challenges/{challenge}?wait=1");
    let seen = expect(scene.integrator.get(&path).await, 200);
    assert_eq!(seen["receipt"], matched["receipt"]);
    assert_eq!(seen["scores"], matched["scores"]);

    let path = "/v1/users/user_456/consent/palm_biometric";
    let user = expect(scene.integrator.delete(path).await, 200);
    assert_eq!(user["consent_status"], "withdrawn");
    while scene.palms.template_count() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_that_race_are_one_call_in_the_database_too() {
    let scene = Scene::set().await;
    expect(
        scene
            .integrator
            .post("/v1/users", json!({"user_id": "user_456"}))
            .await,
        201,
    );
    scene.consent().await;
    let challenge = scene.ask("/v1/enroll", json!({"type": "left"})).await;
    let late = biowave_client::simulator::Fault::Late(std::time::Duration::from_millis(800));
    scene.palms.inject(biowave_client::Operation::Add, late);
    let racers = [1, 2, 3, 4].map(|noise| scene.complete(&challenge, 7, noise));
    let [a, b, c, d] = racers;
    let (a, b, c, d) = tokio::join!(a, b, c, d);
    assert_eq!(a["status"], "enrolled", "{a}");
    assert!(
        [&b, &c, &d].iter().all(|outcome| **outcome == a),
        "{b} {c} {d}"
    );
    let calls = scene.palms.calls();
    let operations: Vec<_> = calls.iter().map(|call| call.operation).collect();
    assert_eq!(
        operations,
        [
            biowave_client::Operation::Query,
            biowave_client::Operation::Add
        ]
    );
}

impl Scene {
    /// A user with a palm at the palm server.
    async fn enrolled(&self) {
        let user = json!({"user_id": "user_456", "display_name": "Ada"});
        expect(self.integrator.post("/v1/users", user).await, 201);
        self.consent().await;
        let challenge = self.ask("/v1/enroll", json!({"type": "left"})).await;
        let outcome = self.complete(&challenge, 7, 0).await;
        assert_eq!(outcome["status"], "enrolled");
    }

    /// Begins the user's erasure.
    async fn erase(&self) -> String {
        let request = self
            .integrator
            .request(Method::DELETE, "/v1/users/user_456");
        let request = request.json(&json!({"reason": "they asked for it"}));
        text(&expect(self.integrator.send(request).await, 202)["erasure_id"])
    }

    async fn is_erased(&self, erasure_id: &str) {
        let path = format!("/v1/erasures/{erasure_id}");
        while expect(self.integrator.get(&path).await, 200)["status"] != "completed" {}
    }

    fn deletions(&self) -> usize {
        let calls = self.palms.calls();
        let deletions = calls.iter().filter(|it| it.operation == Operation::Delete);
        deletions.count()
    }

    /// What a command prints.
    fn run(&self, arguments: &[&str]) -> String {
        let database = self.platform.directory.path().join("identity.db");
        let output = program()
            .args(arguments)
            .env("DATABASE_URL", format!("sqlite://{}", database.display()))
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_brings_no_erased_user_back() {
    let mut scene = Scene::set().await;
    scene.enrolled().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let path = |name: &str| elsewhere.path().join(name);
    let (backup, kept) = (path("backup.db"), path("tombstones.jsonl"));
    scene.run(&["backup", backup.to_str().unwrap()]);
    let logged = scene.platform.process.logged();
    let erasure_id = scene.erase().await;
    scene.is_erased(&erasure_id).await;
    assert_eq!(scene.palms.template_count(), 0);

    let tombstones = scene.run(&["erasures", "export"]);
    let tombstone: Value = serde_json::from_str(tombstones.trim()).unwrap();
    assert_eq!(tombstone["erasure_id"], erasure_id.as_str());
    let lines = logged.lines().into_iter();
    let logged: Vec<_> = lines
        .filter(|line| line.contains("\"tombstone\""))
        .collect();
    assert!(!logged.is_empty(), "whoever keeps the log has it too");
    std::fs::write(&kept, tombstones + &logged.join("\n")).unwrap();

    let before = scene.deletions();
    let file = kept.to_str().unwrap().to_owned();
    let mut said = Vec::new();
    let run = |directory: &std::path::Path| {
        let database = directory.join("identity.db");
        let output = program()
            .args(["erasures", "replay", &file])
            .env("DATABASE_URL", format!("sqlite://{}", database.display()))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    scene.platform.restart_after(|process, directory| {
        process.terminate();
        for log in ["identity.db-wal", "identity.db-shm"] {
            let _ = std::fs::remove_file(directory.join(log));
        }
        std::fs::copy(&backup, directory.join("identity.db")).unwrap();
        said.extend([run(directory), run(directory)]);
    });
    let internal = tombstone["user"].as_str().unwrap();
    assert!(said[0].starts_with(&format!("{internal}\n")), "{said:?}");
    assert!(said[0].contains("1 users came back"), "{said:?}");
    assert!(said[1].contains("0 users came back"), "{said:?}");
    let gone = scene.integrator.get("/v1/users/user_456").await;
    assert_eq!((gone.status, gone.error()), (404, "not_found"));
    scene.is_erased(&erasure_id).await;
    assert_eq!(
        scene.deletions(),
        before + 2,
        "the palm server was asked again"
    );
    let successor = json!({"user_id": "user_456"});
    expect(scene.integrator.post("/v1/users", successor).await, 201);
    let again = scene.run(&["erasures", "replay", &file]);
    assert!(again.contains("0 users came back"), "{again}");
    let there = scene.integrator.get("/v1/users/user_456").await;
    assert_eq!(there.status, 200, "the tombstone is another person's");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_goes_on_where_a_kill_left_it() {
    let mut scene = Scene::set().await;
    scene.enrolled().await;
    // The palm server is down until after the kill.
    for _ in 0..20 {
        scene.palms.inject(Operation::Delete, Fault::Code(50_000));
    }
    let erasure_id = scene.erase().await;
    while scene.deletions() == 0 {
        tokio::task::yield_now().await;
    }
    scene.platform.restart_after(|process, _| process.kill());
    let path = format!("/v1/erasures/{erasure_id}");
    let erasure = expect(scene.integrator.get(&path).await, 200);
    assert_eq!(erasure["status"], "running");
    assert_eq!(scene.palms.template_count(), 1);
    scene.palms.mend();
    scene.is_erased(&erasure_id).await;
    assert_eq!(scene.palms.template_count(), 0);
}

#[test]
fn a_file_with_a_line_that_is_no_tombstone_erases_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tombstones.jsonl");
    std::fs::write(&file, "{\"tenant_id\":\"acme\"}\n").unwrap();
    let output = program()
        .args(["erasures", "replay", file.to_str().unwrap()])
        .env("DATABASE_URL", "sqlite://nowhere/identity.db")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        said.contains("line 1 of the file is no tombstone"),
        "{said}"
    );
}
