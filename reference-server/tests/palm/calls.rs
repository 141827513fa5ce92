//! What the two sides say to the server, and what it answers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use biowave_client::simulator::palm_png;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{Device, World};

/// One end of the interface: a connection with its credential.
#[derive(Clone)]
pub(crate) struct Caller {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// An answer of the server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The body of an answer that has to have this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }

    /// Checks that it is this refusal.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, error: &str) -> Value {
        assert_eq!(
            (self.status.as_u16(), &self.body["error"]),
            (status, &json!(error))
        );
        assert_eq!(self.headers["content-type"], "application/problem+json");
        self.body
    }
}

impl Caller {
    pub(crate) fn new(base: &str, root: &reqwest::Certificate, identity: Option<String>) -> Self {
        let builder = reqwest::Client::builder()
            .tls_certs_only([root.clone()])
            .no_proxy();
        let builder = match identity {
            Some(pem) => builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap()),
            None => builder,
        };
        Self {
            http: builder.build().unwrap(),
            base: base.to_owned(),
            token: None,
        }
    }

    pub(crate) fn with_token(&self, token: String) -> Self {
        Self {
            token: Some(token),
            ..self.clone()
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    /// A request that may get no answer.
    pub(crate) async fn try_get(&self, path: &str) -> reqwest::Result<reqwest::Response> {
        self.request(Method::GET, path).send().await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        answer(self.request(Method::POST, path).json(&body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        answer(self.request(Method::PUT, path).json(&body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        answer(self.request(Method::DELETE, path)).await
    }
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.bytes().await.unwrap();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Answer {
        status,
        headers,
        body,
    }
}

/// A capture of a palm as JSON: the same palm with other noise is recognised.
pub(crate) fn capture(palm: u64, noise: u64) -> Value {
    let image = |palm| STANDARD.encode(palm_png(palm, noise));
    json!({"palm_template": {"image_rgb": image(palm), "image_ir": image(!palm)}})
}

impl Device {
    /// Sends a capture for a challenge.
    pub(crate) async fn complete(&self, challenge: &str, capture: Value) -> Answer {
        self.caller
            .post(&format!("/v1/challenges/{challenge}/complete"), capture)
            .await
    }

    /// The device's open challenges.
    pub(crate) async fn pending(&self, wait: u64) -> Vec<Value> {
        let path = format!("/v1/challenges/pending?wait={wait}");
        let body = self.caller.get(&path).await.expect(200);
        body["challenges"].as_array().unwrap().clone()
    }
}

impl World {
    /// Makes a user known who consents.
    pub(crate) async fn user(&self, user_id: &str) {
        self.integrator()
            .post("/v1/users", json!({"user_id": user_id}))
            .await
            .expect(201);
        self.consent(user_id, true).await.expect(201);
    }

    pub(crate) async fn consent(&self, user_id: &str, granted: bool) -> Answer {
        let consent = json!({
            "user_id": user_id, "consent_type": "palm_biometric", "version": "1",
            "purposes": ["verification"], "granted": granted, "method": "signature",
        });
        self.integrator().post("/v1/consent", consent).await
    }

    /// Asks for an enrolment; returns the challenge's id.
    pub(crate) async fn enroll(&self, user_id: &str, device: &Device, palm_type: &str) -> String {
        let body = json!({"user_id": user_id, "device_id": device.id(), "type": palm_type});
        let created = self.integrator().post("/v1/enroll", body).await.expect(201);
        created["challenge_id"].as_str().unwrap().to_owned()
    }

    /// Asks for a verification; returns the challenge's id.
    pub(crate) async fn verify(&self, user_id: &str, device: &Device) -> String {
        let body = verification(user_id, device);
        let created = self.integrator().post("/v1/verify", body).await.expect(201);
        created["challenge_id"].as_str().unwrap().to_owned()
    }

    /// Makes a user known whose left palm is enrolled.
    pub(crate) async fn enrolled(&self, user_id: &str, device: &Device, palm: u64) {
        self.user(user_id).await;
        let challenge = self.enroll(user_id, device, "left").await;
        let outcome = device
            .complete(&challenge, capture(palm, 0))
            .await
            .expect(200);
        assert_eq!(outcome["status"], "enrolled", "{outcome}");
    }

    /// A challenge, as the integrator sees it.
    pub(crate) async fn challenge(&self, challenge: &str) -> Value {
        self.integrator()
            .get(&format!("/v1/challenges/{challenge}"))
            .await
            .expect(200)
    }
}

pub(crate) fn verification(user_id: &str, device: &Device) -> Value {
    json!({
        "user_id": user_id, "device_id": device.id(), "context": "e_signature",
        "metadata": {"document_id": "doc_123"},
    })
}
