//! A foreign client asks for a palm by the backchannel; the scanner that is asked is played here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use biowave_client::simulator::{PalmServer, palm_png};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::client::{SigningKey, World, created, text};
use crate::foreign::Foreign;
use crate::harness::{Api, DeviceKey};

const SCOPES: [&str; 1] = ["challenges.write"];

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

pub(crate) async fn story() {
    let palms = PalmServer::start().await.unwrap();
    let url = palms.url().to_string();
    let world = World::start_with(&[("BIOWAVE_URL", &url)]).await;
    let mut scanner = Scanner::pair(&world).await;
    enrol(&world, &mut scanner).await;
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
