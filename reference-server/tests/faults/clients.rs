//! Clients that go on after a lost answer in the way that the contract promises, and keep a journal.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use biowave_client::simulator::palm_png;
use http::Method;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::harness::{Api, DeviceKey, PASSWORD, Reply};
use crate::journal::{Holding, Journal, Told};

/// So long one request may take.
pub(crate) const REQUEST_TIME: Duration = Duration::from_secs(20);
/// So long a client goes on asking before the story has failed.
const PATIENCE: Duration = Duration::from_secs(90);
/// The tenant's administrator.
const OPERATOR: &str = "tenant_admin@acme.example";
/// The pause before asking again.
const PAUSE: Duration = Duration::from_millis(50);

/// What clients know of the platform, and their journal.
pub(crate) struct Clients {
    /// A client without credential for each replica.
    pub(crate) replicas: Vec<Api>,
    /// The token of the tenant's administrator.
    pub(crate) token: String,
    pub(crate) journal: Arc<Journal>,
    turn: AtomicUsize,
    numbers: Arc<AtomicU64>,
}

/// A device that has a certificate.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) id: String,
    pub(crate) holding: Holding,
}

/// An answer that is no 503.
pub(crate) struct Settled {
    pub(crate) reply: Reply,
    /// Whether an earlier answer to the same request was lost.
    pub(crate) in_doubt: bool,
}

impl Settled {
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.reply.status, status, "{}", self.reply.text);
        self.reply.json
    }
}

impl Clients {
    pub(crate) fn new(replicas: Vec<Api>, token: String) -> Arc<Self> {
        let journal = Arc::new(Journal::default());
        let numbers = Arc::new(AtomicU64::new(1));
        Self::with(replicas, token, journal, numbers)
    }

    fn with(
        replicas: Vec<Api>,
        token: String,
        journal: Arc<Journal>,
        numbers: Arc<AtomicU64>,
    ) -> Arc<Self> {
        journal.hide(&token);
        Arc::new(Self {
            replicas,
            token,
            journal,
            turn: AtomicUsize::new(0),
            numbers,
        })
    }

    /// The same clients, turned to these replicas, whose first the administrator signs in at.
    pub(crate) async fn turned_to(&self, replicas: Vec<Api>) -> Arc<Self> {
        let token = replicas[0].sign_in(OPERATOR, PASSWORD).await;
        let (journal, numbers) = (Arc::clone(&self.journal), Arc::clone(&self.numbers));
        Self::with(replicas, token.token().to_owned(), journal, numbers)
    }

    /// A number that no other call gets.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn next_replica(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed) % self.replicas.len()
    }

    /// A client without credential, of the next replica in turn.
    pub(crate) fn nobody(&self) -> &Api {
        &self.replicas[self.next_replica()]
    }

    /// The tenant's administrator, at the next replica in turn.
    pub(crate) fn operator(&self) -> Api {
        self.nobody().with_bearer(&self.token)
    }

    /// One try: `None` when the answer was lost, or was a 503.
    pub(crate) async fn try_once(&self, api: &Api, request: RequestBuilder) -> Option<Reply> {
        match api.try_send(request.timeout(REQUEST_TIME)).await {
            Ok(reply) if reply.status == 503 => {
                assert!(reply.header("retry-after").is_some(), "{}", reply.text);
                let mut book = self.journal.book();
                book.unavailable += 1;
                book.refusals.push(reply.text);
                None
            }
            Ok(reply) => {
                assert!(reply.status < 500, "{} {}", reply.status, reply.text);
                if reply.status >= 400 {
                    self.journal.book().refusals.push(reply.text.clone());
                }
                Some(reply)
            }
            Err(error) => {
                let mut book = self.journal.book();
                book.lost += 1;
                if !error.is_connect() {
                    let url = error.url().expect("that of the request");
                    book.cut.push(url.path().to_owned());
                }
                None
            }
        }
    }

    /// What becomes of requests that are sent at the same time, each tried once at the replica that it
    /// was made for, in their order.
    pub(crate) async fn at_once(
        self: &Arc<Self>,
        requests: impl Iterator<Item = RequestBuilder>,
    ) -> Vec<Option<Reply>> {
        let send = |request| {
            let clients = Arc::clone(self);
            tokio::spawn(async move { clients.try_once(&clients.replicas[0], request).await })
        };
        let sent: Vec<_> = requests.map(send).collect();
        let mut replies = Vec::new();
        for reply in sent {
            replies.push(reply.await.expect("no panic"));
        }
        replies
    }

    /// Asks until there is an answer other than 503, each time at the next replica.
    pub(crate) async fn insist(
        &self,
        credential: impl Fn(&Self) -> Api,
        request: impl Fn(&Api) -> RequestBuilder,
    ) -> Settled {
        let start = Instant::now();
        let mut in_doubt = false;
        loop {
            let api = credential(self);
            let lost = self.journal.book().lost;
            if let Some(reply) = self.try_once(&api, request(&api)).await {
                return Settled { reply, in_doubt };
            }
            in_doubt |= self.journal.book().lost > lost;
            assert!(start.elapsed() < PATIENCE, "no answer within {PATIENCE:?}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    pub(crate) async fn operator_gets(&self, path: &str) -> Settled {
        self.insist(Self::operator, |api| api.request(Method::GET, path))
            .await
    }

    /// A POST with an `Idempotency-Key`, repeated under that key until it is answered. A key that is
    /// held by a process that is gone is given up: nothing was committed under it.
    pub(crate) async fn create(&self, path: &str, body: &Value) -> Settled {
        let mut in_doubt = false;
        loop {
            let key = format!("key-{}", self.number());
            let settled = self
                .insist(Self::operator, |api| {
                    let request = api.request(Method::POST, path).json(body);
                    request.header("idempotency-key", &key)
                })
                .await;
            if settled.reply.json["error"] != "idempotency_in_progress" {
                let in_doubt = in_doubt || settled.in_doubt;
                return Settled {
                    in_doubt,
                    ..settled
                };
            }
            in_doubt = true;
            self.journal.book().given_up += 1;
        }
    }

    /// Registers a device: its id and its pairing code.
    pub(crate) async fn register(&self) -> (String, String) {
        let body = json!({"device_name": format!("Counter {}", self.number())});
        let registered = self.create("/v1/devices", &body).await.expect(201);
        let (id, code) = (
            text(&registered["device_id"]),
            text(&registered["pairing_code"]),
        );
        self.journal.note(Told::Registered { device: id.clone() });
        self.journal.given_code(&id, &code);
        (id, code)
    }

    /// Pairs a device: the same code with the same key gets the same certificate, however often the
    /// answer is lost.
    pub(crate) async fn pair(&self, id: &str, code: &str) -> Device {
        self.pair_with(id, code, Arc::new(DeviceKey::generate()))
            .await
    }

    pub(crate) async fn pair_with(&self, id: &str, code: &str, key: Arc<DeviceKey>) -> Device {
        let body = json!({"pairing_code": code, "csr": key.csr(), "device_info": {}});
        let paired = self
            .insist(
                |clients| clients.nobody().clone(),
                |api| api.request(Method::POST, "/v1/devices/pair").json(&body),
            )
            .await
            .expect(200);
        assert_eq!(paired["device_id"], id);
        let device = self.received(id, key, &paired["certificate"]);
        self.journal.code_led_to(code, &device.holding.certificate);
        device
    }

    pub(crate) fn received(&self, id: &str, key: Arc<DeviceKey>, certificate: &Value) -> Device {
        let certificate = text(certificate);
        let connect = |api: &Api| api.with_certificate(&key, &certificate);
        let holding = Holding {
            device: id.to_owned(),
            connections: self.replicas.iter().map(connect).collect(),
            certificate,
            key,
        };
        self.journal.hold(holding.clone());
        Device {
            id: id.to_owned(),
            holding,
        }
    }

    /// A device that is registered and paired.
    pub(crate) async fn paired(&self) -> Device {
        let (id, code) = self.register().await;
        self.pair(&id, &code).await
    }

    /// The device's own client, at the next replica in turn.
    pub(crate) fn device(&self, device: &Device) -> Api {
        device.holding.connections[self.next_replica()].clone()
    }

    /// The device renews. When the answer is lost, an operator says whether it happened; if so the
    /// new certificate is lost, and the device is paired anew.
    pub(crate) async fn renew(&self, device: &mut Device) {
        let key = Arc::new(DeviceKey::generate());
        let body = json!({"csr": key.csr()});
        let start = Instant::now();
        loop {
            let api = self.device(device);
            let request = api.request(Method::POST, "/v1/devices/renew").json(&body);
            if let Some(reply) = self.try_once(&api, request).await
                && reply.status == 200
            {
                *device = self.received(&device.id, key, &reply.json["certificate"]);
                return;
            }
            if self.was_renewed(device).await {
                return self.pair_anew(device).await;
            }
            assert!(start.elapsed() < PATIENCE, "the device is not renewed");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether the device has another certificate than the one that its client holds.
    async fn was_renewed(&self, device: &Device) -> bool {
        let path = format!("/v1/devices/{}", device.id);
        let read = self.operator_gets(&path).await.expect(200);
        read["fingerprint"] != fingerprint(&device.holding.certificate)
    }

    /// An operator gives the device a new code, and it pairs with a new key.
    pub(crate) async fn pair_anew(&self, device: &mut Device) {
        let path = format!("/v1/devices/{}/pairing-code", device.id);
        let issued = self.create(&path, &json!({"replace": true})).await;
        let code = text(&issued.expect(201)["pairing_code"]);
        self.journal.given_code(&device.id, &code);
        *device = self.pair(&device.id, &code).await;
    }

    /// Revokes the device; once that is answered it is out, on every replica.
    pub(crate) async fn revoke(&self, device: &Device) {
        let path = format!("/v1/devices/{}", device.id);
        let revoke = |api: &Api| api.request(Method::DELETE, &path);
        let revoked = self.insist(Self::operator, revoke).await.expect(200);
        assert_eq!(revoked["status"], "revoked");
        self.journal.revoked(&device.id);
        for connection in &device.holding.connections {
            let request = connection.request(Method::GET, "/v1/devices/self");
            if let Some(reply) = self.try_once(connection, request).await {
                assert!(
                    reply.status >= 400,
                    "a revoked device is served: {}",
                    reply.text
                );
            }
        }
    }

    /// Makes a user known who consents.
    pub(crate) async fn user(&self) -> String {
        let number = self.number();
        let user = format!("user_{number}");
        let name = format!("Canary Person {number} Qx7Zv");
        let (email, mobile) = (
            format!("canary.{number}@person.example"),
            format!("+4479460{number:05}"),
        );
        for canary in [&name, &email, &mobile] {
            self.journal.hide(canary.as_str());
        }
        let body = json!({"user_id": user, "display_name": name, "email": email, "mobile": mobile});
        let created = self.create("/v1/users", &body).await;
        // A key that was given up may have made the user all the same.
        if !(created.in_doubt && created.reply.status == 409) {
            created.expect(201);
        }
        self.journal.note(Told::User {
            user: user.clone(),
            name,
        });
        let consent = json!({
            "user_id": user, "consent_type": "palm_biometric", "version": "1",
            "purposes": ["verification"], "granted": true, "method": "signature",
        });
        self.create("/v1/consent", &consent).await.expect(201);
        self.journal.note(Told::Consented { user: user.clone() });
        user
    }

    /// The user's palm is enrolled at the device.
    pub(crate) async fn enrol(&self, device: &Device, user: &str, palm: u64) {
        let challenge = self.ask_to_enrol(device, user).await;
        let outcome = self.complete(device, &challenge, palm, 0).await;
        assert_eq!(outcome, "enrolled");
        self.journal.note(Told::Enrolled {
            challenge,
            user: user.to_owned(),
        });
    }

    /// The user is verified at the device.
    pub(crate) async fn verify(&self, device: &Device, user: &str, palm: u64) {
        let challenge = self.ask_to_verify(device, user).await;
        let receipt = self.complete(device, &challenge, palm, self.number()).await;
        self.journal.note(Told::Verified { challenge, receipt });
    }

    /// A challenge that enrols the user's palm at the device.
    pub(crate) async fn ask_to_enrol(&self, device: &Device, user: &str) -> String {
        let body = json!({"user_id": user, "device_id": device.id, "type": "left"});
        self.ask("/v1/enroll", &body).await
    }

    /// A challenge that verifies the user at the device.
    pub(crate) async fn ask_to_verify(&self, device: &Device, user: &str) -> String {
        let body = json!({"user_id": user, "device_id": device.id, "context": "at_the_counter"});
        self.ask("/v1/verify", &body).await
    }

    async fn ask(&self, path: &str, body: &Value) -> String {
        let asked = self.create(path, body).await.expect(201);
        let challenge = text(&asked["challenge_id"]);
        self.journal.note(Told::Asked {
            challenge: challenge.clone(),
        });
        challenge
    }

    /// Sends a sample until the challenge has ended well: the receipt, or `enrolled`. When the
    /// answer that ended it was lost, the integrator's view tells.
    pub(crate) async fn complete(
        &self,
        device: &Device,
        challenge: &str,
        palm: u64,
        noise: u64,
    ) -> String {
        let image = |palm| STANDARD.encode(palm_png(palm, noise));
        let (rgb, ir) = (image(palm), image(!palm));
        // The middle of a picture, where the palm is.
        self.journal.hide(&rgb[rgb.len() / 2..rgb.len() / 2 + 48]);
        let body = json!({"palm_template": {"image_rgb": rgb, "image_ir": ir}});
        let path = format!("/v1/challenges/{challenge}/complete");
        let start = Instant::now();
        loop {
            let send = |api: &Api| api.request(Method::POST, &path).json(&body);
            let settled = self.insist(|clients| clients.device(device), send).await;
            let (status, outcome) = (settled.reply.status, &settled.reply.json);
            match (status, outcome["status"].as_str(), &outcome["error"]) {
                (200, Some("completed"), _) => return text(&outcome["receipt"]),
                (200, Some("enrolled"), _) => return "enrolled".to_owned(),
                (200, Some("failed"), _) => {
                    assert_eq!(
                        outcome["reason_code"], "service_unavailable",
                        "{outcome} of {challenge}"
                    );
                }
                // Ended by a sample whose answer was lost.
                (409, _, error) if error == "challenge_terminal" => {
                    return self.how_it_ended(challenge).await;
                }
                // An attempt whose process is gone holds the challenge until its lease ends.
                (409, _, error) if error == "conflict" => {}
                _ => panic!("{status} {}", settled.reply.text),
            }
            assert!(start.elapsed() < PATIENCE, "{challenge} does not end");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn how_it_ended(&self, challenge: &str) -> String {
        let path = format!("/v1/challenges/{challenge}");
        let read = self.operator_gets(&path).await.expect(200);
        assert_eq!(read["status"], "completed", "{read}");
        match read["receipt"].as_str() {
            Some(receipt) => receipt.to_owned(),
            None => "enrolled".to_owned(),
        }
    }
}

/// As people see a certificate: SHA-256 of its DER.
pub(crate) fn fingerprint(certificate: &str) -> String {
    identity_pki::Fingerprint::of_certificate(&der(certificate)).to_string()
}

/// The DER of a PEM certificate.
pub(crate) fn der(certificate: &str) -> Vec<u8> {
    use rustls_pki_types::pem::PemObject as _;
    let der = rustls_pki_types::CertificateDer::from_pem_slice(certificate.as_bytes());
    der.expect("PEM").to_vec()
}

#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
