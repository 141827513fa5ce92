//! Clients ask for a palm by the backchannel; the scanner that is asked is played here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use biowave_client::simulator::{PalmServer, palm_png};
use jsonwebtoken::Algorithm;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::client::{Client, SigningKey, World, created, refusal, text};
use crate::foreign::Foreign;
use crate::harness::{Api, DeviceKey, Reply};
use crate::sink::{Received, Sink};
use crate::trial;

const SCOPES: [&str; 1] = ["challenges.write"];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_client_is_told_that_its_user_has_answered", told),
        trial("a_client_that_fails_is_told_again", told_again),
        trial("an_endpoint_that_leads_inside_is_refused", inside),
    ]
}

/// A scanner that does as binding messages say.
struct Scanner {
    api: Api,
    device_id: String,
    samples: u64,
}

impl Scanner {
    async fn pair(world: &World) -> Self {
        let key = DeviceKey::generate();
        let device = json!({"device_name": "Counter 1"});
        let registered = created(world.admin.post("/v1/devices", device).await);
        let pairing = json!({
            "pairing_code": registered["pairing_code"], "csr": key.csr(), "device_info": {},
        });
        let nobody = world.platform.api();
        let paired = nobody.post("/v1/devices/pair", pairing).await;
        assert_eq!(paired.status, 200, "{}", paired.text);
        let certificate = text(&paired.json["certificate"]);
        Self {
            api: world.platform.device(&key, &certificate),
            device_id: text(&paired.json["device_id"]),
            samples: 0,
        }
    }

    async fn complete(&mut self, challenge: &str) {
        self.samples += 1;
        let image = |palm| STANDARD.encode(palm_png(palm, self.samples));
        let capture = json!({"palm_template": {"image_rgb": image(7), "image_ir": image(!7)}});
        let path = format!("/v1/challenges/{challenge}/complete");
        let outcome = self.api.post(&path, capture).await;
        assert_eq!(outcome.status, 200, "{}", outcome.text);
        assert_ne!(outcome.json["status"], "failed", "{}", outcome.text);
    }

    /// Serves for as long as it is let.
    async fn serve(mut self) {
        loop {
            let pending = self.api.get("/v1/challenges/pending?wait=25").await;
            assert_eq!(pending.status, 200, "{}", pending.text);
            let pending = pending.json["challenges"].as_array().unwrap().clone();
            let said = |challenge: &Value| text(&challenge["binding_message"]);
            if pending.iter().all(|challenge| said(challenge) == "wait") {
                tokio::task::yield_now().await;
                continue;
            }
            for challenge in &pending {
                let id = text(&challenge["challenge_id"]);
                if said(challenge) == "deny" {
                    let path = format!("/v1/challenges/{id}/deny");
                    let denied = self.api.post(&path, json!({"reason": "not me"})).await;
                    assert_eq!(denied.status, 200, "{}", denied.text);
                } else {
                    self.complete(&id).await;
                }
            }
        }
    }
}

/// Makes a user known whose left palm is the scanner's sample.
async fn enrol(world: &World, scanner: &mut Scanner) {
    let user = json!({"user_id": "ada"});
    created(world.admin.post("/v1/users", user).await);
    let consent = json!({
        "user_id": "ada", "consent_type": "palm_biometric", "version": "1",
        "purposes": ["sign_in"], "granted": true, "method": "signature",
    });
    created(world.admin.post("/v1/consent", consent).await);
    let enrolment = json!({"user_id": "ada", "device_id": scanner.device_id, "type": "left"});
    let asked = created(world.admin.post("/v1/enroll", enrolment).await);
    scanner.complete(&text(&asked["challenge_id"])).await;
}

/// A platform with a palm server, and a scanner with a user's palm.
async fn scene() -> (World, PalmServer, Scanner) {
    let palms = PalmServer::start().await.unwrap();
    let url = palms.url().to_string();
    let variables = [
        ("BIOWAVE_URL", &*url),
        ("IDENTITY_WEBHOOK_ALLOW_LOOPBACK", "true"),
    ];
    let world = World::start_with(&variables).await;
    let mut scanner = Scanner::pair(&world).await;
    enrol(&world, &mut scanner).await;
    (world, palms, scanner)
}

/// What openid-client goes through.
pub(crate) async fn foreign_story() {
    let (world, _palms, scanner) = scene().await;
    let key = SigningKey::generate(Algorithm::ES256);
    let client = world.client_with(&world.admin, &SCOPES).await;
    let keyed = world.keyed_with(&[&key], &SCOPES).await;
    let told = json!({
        "issuer": client.api.base(), "user": "ada", "device": scanner.device_id,
        "secret": {"client_id": client.client_id, "client_secret": client.secret},
        "keyed": {"client_id": keyed.client_id, "jwk": key.private},
    });
    let scanner = tokio::spawn(scanner.serve());
    let foreign = Foreign::node("backchannel.mjs");
    tokio::task::block_in_place(|| foreign.run(&world, &told));
    assert!(!scanner.is_finished(), "it met with no refusal");
    scanner.abort();
}

const ENDPOINT: &str = "backchannel_client_notification_endpoint";
const GRANT: &str = "urn:openid:params:grant-type:ciba";

/// A client in ping mode.
async fn pinged(world: &World, url: &str) -> Client {
    let body = json!({"name": "shop", "scopes": SCOPES, ENDPOINT: url});
    let made = created(world.admin.post("/v1/oauth-clients", body).await);
    Client {
        api: world.platform.api(),
        client_id: text(&made["client_id"]),
        secret: text(&made["client_secret"]),
    }
}

async fn ask(client: &Client, device: &str, message: &str, token: &str) -> Reply {
    let form = [
        ("scope", "openid"),
        ("login_hint", "ada"),
        ("device_id", device),
        ("binding_message", message),
        ("client_notification_token", token),
    ];
    client.post_with_secret("/v1/bc-authorize", &form).await
}

async fn fetch(client: &Client, auth_req_id: &Value) -> Reply {
    let id = auth_req_id.as_str().unwrap();
    let form = [("grant_type", GRANT), ("auth_req_id", id)];
    client.post_with_secret("/v1/auth/token", &form).await
}

/// The next request to a path of the sink, which is waited for.
fn next(sink: &Sink, path: &str) -> Received {
    tokio::task::block_in_place(|| sink.next(path))
}

async fn told() {
    let (world, _palms, scanner) = scene().await;
    let (sink, device) = (Sink::start(), scanner.device_id.clone());
    let client = pinged(&world, &sink.url("/told")).await;
    let listed = world.admin.get("/v1/oauth-clients").await.json;
    assert_eq!(listed["data"][0][ENDPOINT], sink.url("/told"));
    for no_token in ["", "two words", &"x".repeat(1025)] {
        let refused = ask(&client, &device, "go on", no_token).await;
        assert_eq!(refusal(&refused), (400, "invalid_request"), "{no_token}");
    }
    let scanner = tokio::spawn(scanner.serve());
    for (message, token, status) in [("go on", "canary-1", 200), ("deny", "canary-2", 400)] {
        let asked = ask(&client, &device, message, token).await;
        assert_eq!(asked.status, 200, "{}", asked.text);
        let auth_req_id = &asked.json["auth_req_id"];
        let told = next(&sink, "/told");
        assert_eq!(told.header("authorization"), format!("Bearer {token}"));
        assert_eq!(told.header("content-type"), "application/json");
        assert_eq!(told.json(), json!({"auth_req_id": auth_req_id}));
        let fetched = fetch(&client, auth_req_id).await;
        assert_eq!(fetched.status, status, "{}", fetched.text);
    }
    scanner.abort();
    let mut process = world.platform.process;
    let log = process.logged();
    process.terminate();
    let told = log.lines().into_iter().find(|line| line.contains("canary"));
    assert_eq!(told, None, "tokens are not logged");
    assert_eq!(sink.all("/told").len(), 2, "each once");
}

async fn told_again() {
    let (world, _palms, scanner) = scene().await;
    let (sink, device) = (Sink::start(), scanner.device_id.clone());
    let client = pinged(&world, &sink.url("/fails")).await;
    let scanner = tokio::spawn(scanner.serve());
    let asked = ask(&client, &device, "go on", "canary").await;
    let auth_req_id = &asked.json["auth_req_id"];
    for _ in 0..3 {
        let told = next(&sink, "/fails");
        assert_eq!(told.json(), json!({"auth_req_id": auth_req_id}));
        assert_eq!(told.header("authorization"), "Bearer canary");
    }
    scanner.abort();
    // It can poll all the same.
    let fetched = fetch(&client, auth_req_id).await;
    assert_eq!(fetched.status, 200, "{}", fetched.text);
}

async fn inside() {
    let world = World::start().await;
    for url in [
        "https://127.0.0.1/told",
        "http://shop.example/told",
        "https://10.0.0.1/",
        "shop",
    ] {
        let body = json!({"name": "shop", "scopes": SCOPES, ENDPOINT: url});
        let refused = world.admin.post("/v1/oauth-clients", body).await;
        let answer = (refused.status, refused.error());
        assert_eq!(answer, (422, "webhook_url_forbidden"), "{url}");
        assert_eq!(refused.json["fields"][0]["path"], ENDPOINT);
    }
    let listed = world.admin.get("/v1/oauth-clients").await.json;
    assert_eq!(listed["data"], json!([]));
}
