//! The scanner of the story: a key, a certificate, and a palm held over it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use biowave_client::simulator::palm_png;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use super::error::{DemoError, ensure};
use super::http::{Answer, Http};

/// A paired scanner.
pub(super) struct Scanner {
    pub(super) device_id: String,
    /// Its key and its certificate.
    pub(super) credentials: Credentials,
    http: Http,
}

/// A key and its certificate, in PEM.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) key: String,
    pub(super) certificate: String,
}

impl Credentials {
    fn of(key: &KeyPair, certified: &Answer) -> Result<Self, DemoError> {
        Ok(Self {
            key: key.serialize_pem(),
            certificate: certified.text("/certificate")?,
        })
    }

    fn used_by(&self, http: &Http) -> Result<Http, DemoError> {
        http.with_certificate(&[self.key.as_str(), &self.certificate].concat())
    }
}

impl Scanner {
    /// Makes a key, and trades the pairing code for a certificate of it.
    pub(super) async fn pair(http: &Http, code: &str) -> Result<Self, DemoError> {
        let key = KeyPair::generate()?;
        let body = json!({
            "pairing_code": code,
            "csr": csr(&key)?,
            "device_info": {"model": "PS-1", "firmware": "1.0.0", "serial": "SN-0001"},
        });
        let paired = http.post("/v1/devices/pair", &body).await?.must_be(200)?;
        let credentials = Credentials::of(&key, &paired)?;
        Ok(Self {
            device_id: paired.text("/device_id")?,
            http: credentials.used_by(http)?,
            credentials,
        })
    }

    /// A new key, a new certificate; returns the old ones.
    pub(super) async fn renew(&mut self) -> Result<Credentials, DemoError> {
        let key = KeyPair::generate()?;
        let body = json!({"csr": csr(&key)?});
        let renewed = self
            .http
            .post("/v1/devices/renew", &body)
            .await?
            .must_be(200)?;
        let credentials = Credentials::of(&key, &renewed)?;
        self.http = credentials.used_by(&self.http)?;
        Ok(std::mem::replace(&mut self.credentials, credentials))
    }

    pub(super) async fn itself(&self) -> Result<Answer, DemoError> {
        self.http.get("/v1/devices/self").await
    }

    /// The challenges that wait for this scanner; it waits for one for as long as a poll lasts.
    pub(super) async fn poll(&self, seconds: u8) -> Result<Vec<Value>, DemoError> {
        let path = format!("/v1/challenges/pending?wait={seconds}");
        let answer = self.http.get(&path).await?.must_be(200)?;
        let challenges = answer.body()["challenges"].as_array();
        Ok(challenges.cloned().unwrap_or_default())
    }

    /// Waits for `challenge_id` and answers it with a capture of `palm`.
    pub(super) async fn scan(
        &self,
        challenge_id: &str,
        palm: Capture,
    ) -> Result<Answer, DemoError> {
        let waiting = self.poll(25).await?;
        let found = waiting.iter().find(|c| c["challenge_id"] == challenge_id);
        ensure(
            found.is_some(),
            "the scanner's poll does not bring its challenge",
        )?;
        let mut template = palm.template();
        if let Some(palm_type) = found.and_then(|c| c["palm_type"].as_str()) {
            template["type"] = json!(palm_type);
        }
        let path = format!("/v1/challenges/{challenge_id}/complete");
        let body = json!({"palm_template": template});
        self.http.post(&path, &body).await?.must_be(200)
    }
}

/// One capture of a palm: no two are the same bytes.
#[derive(Clone, Copy)]
pub(super) struct Capture {
    pub(super) palm: u64,
    pub(super) noise: u64,
}

impl Capture {
    fn template(self) -> Value {
        let image = |palm| STANDARD.encode(palm_png(palm, self.noise));
        json!({"image_rgb": image(self.palm), "image_ir": image(!self.palm)})
    }
}

fn csr(key: &KeyPair) -> Result<String, DemoError> {
    Ok(CertificateParams::default().serialize_request(key)?.pem()?)
}
