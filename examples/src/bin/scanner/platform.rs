//! The platform, as a device sees it (the HTTP contract's §§6 and 8).

use std::io;
use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Client, Identity, RequestBuilder};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use time::OffsetDateTime;

/// Longer than the server's longest wait.
const ANSWER_TIME: Duration = Duration::from_secs(40);

/// The answer to pairing and to renewing.
#[derive(Debug, Deserialize)]
pub(crate) struct Certified {
    pub(crate) certificate: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) renew_after: OffsetDateTime,
}

/// What the platform knows of the device.
#[derive(Debug, Deserialize)]
pub(crate) struct Itself {
    pub(crate) device_id: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) renew_after: OffsetDateTime,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Pending {
    pub(crate) challenges: Vec<Challenge>,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) server_time: OffsetDateTime,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Challenge {
    pub(crate) challenge_id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Which palm to enrol.
    pub(crate) palm_type: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) retry_after_ms: Option<u64>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the platform answers {status} {error}: {detail}")]
    Refused {
        status: u16,
        error: String,
        detail: String,
    },
    #[error("the platform refuses this certificate: pair the scanner again")]
    CertificateRefused(#[source] reqwest::Error),
    #[error("the platform cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("there is no certificate in the folder: pair the scanner with --code")]
    NotPaired,
    #[error("a file cannot be read or written")]
    File(#[from] io::Error),
    #[error("a key is unusable")]
    Key(#[from] rcgen::Error),
}

impl Failure {
    /// Whether it is worth trying again: the platform may be restarting or busy, a challenge may
    /// have been canceled meanwhile. Being told that one is nobody does not pass.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { status, .. } => !matches!(status, 401 | 403),
            Self::CertificateRefused(_) | Self::NotPaired | Self::File(_) | Self::Key(_) => false,
        }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        if examples::is_alert(&error) {
            Self::CertificateRefused(error)
        } else {
            Self::Unreachable(error)
        }
    }
}

pub(crate) struct Platform {
    base: String,
    ca: Vec<Certificate>,
    http: Client,
}

impl Platform {
    /// The platform at `base`, whose server certificate `ca` vouches for.
    pub(crate) fn new(base: String, ca: &Path) -> Result<Self, Failure> {
        let ca = Certificate::from_pem_bundle(&std::fs::read(ca)?)?;
        let http = builder(&ca).build()?;
        Ok(Self { base, ca, http })
    }

    /// The same with a key and its certificate, in PEM.
    pub(crate) fn as_device(&self, credentials: &str) -> Result<Self, Failure> {
        let identity = Identity::from_pem(credentials.as_bytes())?;
        Ok(Self {
            base: self.base.clone(),
            ca: self.ca.clone(),
            http: builder(&self.ca).identity(identity).build()?,
        })
    }

    pub(crate) async fn itself(&self) -> Result<Itself, Failure> {
        answer(self.http.get(self.url("/v1/devices/self"))).await
    }

    /// The challenges for this device; waits for one if there is none.
    pub(crate) async fn pending(&self) -> Result<Pending, Failure> {
        let poll = self.url("/v1/challenges/pending?wait=25");
        answer(self.http.get(poll)).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<T, Failure> {
        answer(self.http.post(self.url(path)).json(body)).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base.trim_end_matches('/'))
    }
}

/// HTTP/1.1, because a TLS alert is told apart from other failures only there: the errors of an
/// HTTP/2 connection carry its text alone.
fn builder(ca: &[Certificate]) -> reqwest::ClientBuilder {
    Client::builder()
        .http1_only()
        .tls_certs_only(ca.iter().cloned())
        .timeout(ANSWER_TIME)
}

/// The JSON of a good answer; the problem document of any other (RFC 9457).
async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, Failure> {
    let answer = request.send().await?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer.json().await?);
    }
    let problem: Value = answer.json().await.unwrap_or_default();
    let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    Err(Failure::Refused {
        status: status.as_u16(),
        error: text("error"),
        detail: text("detail"),
    })
}
