//! A palm scanner: pairs, waits for challenges over mutual TLS, answers them with a palm, and renews
//! its certificate in time. The palms are the simulated palm server's.
//!
//! ```text
//! cargo run -p examples --bin scanner -- --server https://localhost:PORT --ca ca.pem \
//!     --folder scanner-1 --code PAIRINGCODE
//! ```
//!
//! Without `--code` it goes on with the certificate in its folder.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program talks to its user"
)]

mod folder;
mod platform;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use biowave_client::simulator::palm_png;
use clap::Parser;
use folder::Folder;
use platform::{Certified, Challenge, Failure, Outcome, Pending, Platform};
use rand_core::Rng as _;
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use time::OffsetDateTime;

/// Polls that follow one another faster are refused.
const BETWEEN_POLLS: Duration = Duration::from_millis(500);
/// How long a scanner waits before it tries again what failed.
const BETWEEN_TRIES: Duration = Duration::from_secs(2);

#[derive(Debug, Parser)]
#[command(about = "A palm scanner with a simulated palm")]
struct Options {
    /// The platform's base URL.
    #[arg(long)]
    server: String,
    /// The CA of the platform's server certificate, in PEM.
    #[arg(long)]
    ca: PathBuf,
    /// Where the scanner keeps its key and certificate.
    #[arg(long)]
    folder: PathBuf,
    /// Pairs first, with this code.
    #[arg(long)]
    code: Option<String>,
    /// Renews the certificate first.
    #[arg(long)]
    renew_now: bool,
    /// The palm that the scanner sees.
    #[arg(long, default_value_t = 1)]
    palm: u64,
}

struct Scanner {
    platform: Platform,
    folder: Folder,
    palm: u64,
    renew_after: OffsetDateTime,
}

impl Scanner {
    /// A scanner with the certificate in its folder, which it gets first where there is a code.
    async fn switch_on(options: Options) -> Result<Self, Failure> {
        let folder = Folder::open(options.folder)?;
        let platform = Platform::new(options.server, &options.ca)?;
        if let Some(code) = &options.code {
            let key = folder.next_key()?;
            let body = json!({
                "pairing_code": code,
                "csr": csr(&key)?,
                "device_info": {"model": "example", "firmware": env!("CARGO_PKG_VERSION")},
            });
            let certified: Certified = platform.post("/v1/devices/pair", &body).await?;
            folder.keep(&key, &certified.certificate)?;
            println!("paired");
        }
        let credentials = folder.credentials()?.ok_or(Failure::NotPaired)?;
        let platform = platform.as_device(&credentials)?;
        let itself = platform.itself().await?;
        println!("{} is on", itself.device_id);
        let mut scanner = Self {
            platform,
            folder,
            palm: options.palm,
            renew_after: itself.renew_after,
        };
        if options.renew_now {
            scanner.renew().await?;
        }
        Ok(scanner)
    }

    /// Gets a certificate for a new key. The old one is worthless from then on.
    async fn renew(&mut self) -> Result<(), Failure> {
        let key = self.folder.next_key()?;
        let body = json!({"csr": csr(&key)?});
        let certified: Certified = self.platform.post("/v1/devices/renew", &body).await?;
        let credentials = self.folder.keep(&key, &certified.certificate)?;
        self.platform = self.platform.as_device(&credentials)?;
        self.renew_after = certified.renew_after;
        println!("renewed");
        Ok(())
    }

    /// Works until the platform wants it no more.
    async fn work(mut self) -> Result<(), Failure> {
        loop {
            let pause = match self.turn().await {
                Ok(pause) => pause,
                Err(failure) if failure.may_pass() => {
                    println!("{}", examples::one_line(&failure));
                    BETWEEN_TRIES
                }
                Err(failure) => return Err(failure),
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// One poll, and what it brings; how long to wait before the next one.
    async fn turn(&mut self) -> Result<Duration, Failure> {
        let pending: Pending = self.platform.pending().await?;
        // The platform's clock decides: a scanner needs none.
        if pending.server_time >= self.renew_after {
            self.renew().await?;
        }
        let mut pause = BETWEEN_POLLS;
        for challenge in &pending.challenges {
            let outcome = self.complete(challenge).await?;
            let (kind, id) = (&challenge.kind, &challenge.challenge_id);
            let reason = outcome.reason.map(|reason| format!(", {reason}"));
            let reason = reason.unwrap_or_default();
            println!("{kind} {id}: {}{reason}", outcome.status);
            let retry_after = Duration::from_millis(outcome.retry_after_ms.unwrap_or(0));
            pause = pause.max(retry_after);
        }
        Ok(pause)
    }

    /// Lets the palm be seen. No two captures of a palm are alike.
    async fn complete(&self, challenge: &Challenge) -> Result<Outcome, Failure> {
        let noise = rand_core::UnwrapErr(getrandom::SysRng).next_u64();
        let mut template = json!({
            "image_rgb": STANDARD.encode(palm_png(self.palm, noise)),
            "image_ir": STANDARD.encode(palm_png(!self.palm, noise)),
        });
        if let Some(palm_type) = &challenge.palm_type {
            template["type"] = json!(palm_type);
        }
        let path = format!("/v1/challenges/{}/complete", challenge.challenge_id);
        let body = json!({"palm_template": template});
        self.platform.post(&path, &body).await
    }
}

/// A request for a certificate. Of all that it could ask for, only its key counts.
fn csr(key: &KeyPair) -> Result<String, Failure> {
    Ok(CertificateParams::default().serialize_request(key)?.pem()?)
}

async fn run(options: Options) -> Result<(), Failure> {
    Scanner::switch_on(options).await?.work().await
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", examples::one_line(&failure));
            ExitCode::FAILURE
        }
    }
}
