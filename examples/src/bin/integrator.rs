//! A bank's backend: asks whose palm a scanner sees, waits for the outcome, and checks the receipt.
//!
//! ```text
//! CLIENT_SECRET=… cargo run -p examples --bin integrator -- --server https://localhost:PORT \
//!     --ca ca.pem --client-id cli_… --user user_456 --device dev_… --document doc_123
//! ```
//!
//! It exits 0 when the palm was the user's and the receipt proves it.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program talks to its user"
)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Parser;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rand_core::Rng as _;
use reqwest::{Certificate, Client, RequestBuilder};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Longer than the server's longest wait.
const ANSWER_TIME: Duration = Duration::from_secs(40);

#[derive(Debug, Parser)]
#[command(about = "Asks whose palm a scanner sees, and checks the receipt")]
struct Options {
    /// The platform's base URL.
    #[arg(long)]
    server: String,
    /// The CA of the platform's server certificate, in PEM.
    #[arg(long)]
    ca: PathBuf,
    #[arg(long)]
    client_id: String,
    /// Comes from the environment: command lines are seen by everybody on the machine.
    #[arg(long, env = "CLIENT_SECRET", hide_env_values = true)]
    client_secret: String,
    /// Whose palm it should be.
    #[arg(long)]
    user: String,
    /// The scanner that is to look.
    #[arg(long)]
    device: String,
    /// What the palm is to sign.
    #[arg(long, default_value = "doc_123")]
    document: String,
}

/// The platform, as a client with a token sees it.
struct Platform {
    http: Client,
    base: String,
    token: String,
}

#[derive(Debug, Deserialize)]
struct Challenge {
    challenge_id: String,
    status: String,
    status_reason: Option<String>,
    receipt: Option<String>,
}

impl Challenge {
    fn is_over(&self) -> bool {
        !matches!(self.status.as_str(), "pending" | "in_progress")
    }
}

/// What a receipt says (contract §8); the claims that this backend looks at.
#[derive(Debug, Deserialize)]
struct Receipt {
    sub: String,
    jti: String,
    device_id: String,
    meta_hash: String,
    verdict: String,
}

impl Platform {
    /// Gets an access token by client credentials (RFC 6749 §4.4).
    async fn sign_in(options: &Options) -> Result<Self, Failure> {
        let ca = Certificate::from_pem_bundle(&std::fs::read(&options.ca)?)?;
        let http = Client::builder().tls_certs_only(ca).timeout(ANSWER_TIME);
        let (http, base) = (http.build()?, options.server.trim_end_matches('/'));
        #[derive(Deserialize)]
        struct Granted {
            access_token: String,
        }
        let request = http
            .post(format!("{base}/v1/auth/token"))
            .basic_auth(&options.client_id, Some(&options.client_secret))
            .form(&[
                ("grant_type", "client_credentials"),
                ("scope", "challenges.read challenges.write"),
            ]);
        let Granted { access_token } = answer(request).await?;
        Ok(Self {
            http,
            base: base.to_owned(),
            token: access_token,
        })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let request = self.http.get(format!("{}{path}", self.base));
        answer(request.bearer_auth(&self.token)).await
    }

    async fn verify(&self, options: &Options, metadata: &Value) -> Result<Challenge, Failure> {
        // A repeated request with the same key creates nothing twice.
        let key = rand_core::UnwrapErr(getrandom::SysRng).next_u64();
        let request = self
            .http
            .post(format!("{}/v1/verify", self.base))
            .bearer_auth(&self.token)
            .header(
                "Idempotency-Key",
                format!("{}-{key:016x}", options.document),
            )
            .json(&json!({
                "user_id": options.user,
                "device_id": options.device,
                "context": "e_signature",
                "metadata": metadata,
            }));
        answer(request).await
    }

    /// Waits until the challenge is over: each call returns when something changes, or after 25 s.
    async fn outcome(&self, challenge_id: &str) -> Result<Challenge, Failure> {
        loop {
            let path = format!("/v1/challenges/{challenge_id}?wait=25");
            let challenge: Challenge = self.get(&path).await?;
            if challenge.is_over() {
                return Ok(challenge);
            }
        }
    }

    /// The receipt's claims, once its signature is found to be the platform's.
    async fn check_receipt(&self, receipt: &str, client_id: &str) -> Result<Receipt, Failure> {
        #[derive(Deserialize)]
        struct Discovery {
            issuer: String,
            jwks_uri: String,
        }
        let discovery = "/.well-known/oauth-authorization-server";
        let Discovery { issuer, jwks_uri } = self.get(discovery).await?;
        let keys: JwkSet = answer(self.http.get(jwks_uri)).await?;

        let header = jsonwebtoken::decode_header(receipt)?;
        if header.typ.as_deref() != Some("verification-receipt+jwt") {
            return Err(format!("the receipt's type is {:?}", header.typ).into());
        }
        let key_id = header.kid.ok_or("the receipt names no key")?;
        let key = keys
            .find(&key_id)
            .ok_or("the receipt's key is not published")?;
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[client_id]);
        validation.set_required_spec_claims(&["iss", "aud", "sub"]);
        // A receipt is proof for good: it does not expire.
        validation.validate_exp = false;
        let key = DecodingKey::from_jwk(key)?;
        Ok(jsonwebtoken::decode::<Receipt>(receipt, &key, &validation)?.claims)
    }
}

/// The JSON of a good answer; the problem's own words of any other (RFC 9457, RFC 6749 §5.2).
async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, Failure> {
    let answer = request.send().await?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer.json().await?);
    }
    let problem: Value = answer.json().await.unwrap_or_default();
    let text = |name: &str| problem[name].as_str().map(str::to_owned);
    let detail = text("detail").or_else(|| text("error_description"));
    let (error, detail) = (
        text("error").unwrap_or_default(),
        detail.unwrap_or_default(),
    );
    Err(format!("the platform answers {status} {error}: {detail}").into())
}

/// Whether the receipt is about what was asked, and not about something else that is also true.
fn is_about(
    receipt: &Receipt,
    options: &Options,
    challenge: &Challenge,
    metadata: &Value,
) -> Result<bool, Failure> {
    let canonical = serde_json_canonicalizer::to_vec(metadata)?;
    let meta_hash = URL_SAFE_NO_PAD.encode(Sha256::digest(canonical));
    Ok(receipt.sub == options.user
        && receipt.device_id == options.device
        && receipt.jti == challenge.challenge_id
        && receipt.meta_hash == meta_hash
        && receipt.verdict == "match")
}

async fn run(options: &Options) -> Result<(), Failure> {
    let platform = Platform::sign_in(options).await?;
    let metadata = json!({"document_id": options.document});
    let challenge = platform.verify(options, &metadata).await?;
    println!("{} waits at {}", challenge.challenge_id, options.device);

    let challenge = platform.outcome(&challenge.challenge_id).await?;
    let reason = challenge.status_reason.as_deref().unwrap_or("no reason");
    if challenge.status != "completed" {
        return Err(format!(
            "{} ended {}: {reason}",
            challenge.challenge_id, challenge.status
        )
        .into());
    }
    let receipt = challenge.receipt.as_deref().ok_or("there is no receipt")?;
    let claims = platform.check_receipt(receipt, &options.client_id).await?;
    if !is_about(&claims, options, &challenge, &metadata)? {
        return Err(format!("the receipt is about something else: {claims:?}").into());
    }
    println!("completed: {} signed {}", claims.sub, options.document);
    println!("receipt {receipt}");
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", examples::one_line(&*failure));
            ExitCode::FAILURE
        }
    }
}
