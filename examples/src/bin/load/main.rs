//! Load for the reference server: devices with certificates of their own, over kept-alive connections,
//! beside peers that do the same in the same run. `docs/PERFORMANCE.md` says what each figure is.
//!
//! ```text
//! cargo build --release -p reference-server -p examples
//! target/release/load pairings
//! ```
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program talks to its user"
)]

mod cfssl;
mod completions;
mod connection;
mod fleet;
mod idle;
mod keys;
mod latency;
mod memory;
mod operator;
mod pairings;
mod platform;
mod polls;
mod process;
mod report;
mod revocations;
mod seed;
mod start;
mod station;
mod turn;
mod wakes;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use platform::Settings;
use report::Row;

type Failure = Box<dyn Error + Send + Sync>;

/// Measures the reference server under load.
#[derive(Debug, Parser)]
struct Options {
    /// The server's binary; beside this program when it is not named.
    #[arg(long, global = true)]
    server: Option<PathBuf>,
    /// An empty database; an embedded one in a temporary folder when none is named.
    #[arg(long, global = true, env = "DATABASE_URL")]
    database_url: Option<String>,
    #[command(subcommand)]
    load: Load,
}

#[derive(Debug, Subcommand)]
enum Load {
    /// Durable pairings a second, beside signatures of `cfssl serve`.
    Pairings(pairings::Options),
    /// What a completion adds to the palm server's own time.
    Completions(completions::Options),
    /// Memory of devices that wait in a long poll.
    Idle(idle::Options),
    /// Latency of pairing, poll and completion, with few rows in the database and with very many.
    Latency(latency::Options),
    /// Authenticated polls a second, beside a Python service.
    Polls(polls::Options),
    /// What still succeeds after a revocation, and how soon nothing does.
    Revocations(revocations::Options),
    /// From a start to readiness, where very many certificates are revoked.
    Start(start::Options),
    /// How soon a poll that waits is answered when its challenge is created.
    Wakes(wakes::Options),
}

async fn run(options: Options) -> Result<Vec<Row>, Failure> {
    let settings = Settings {
        binary: match options.server {
            Some(binary) => binary,
            None => std::env::current_exe()?.with_file_name("reference-server"),
        },
        database_url: options.database_url,
        log: "info".to_owned(),
        palm_server: None,
        processor: None,
    };
    match options.load {
        Load::Pairings(options) => pairings::run(settings, options).await,
        Load::Completions(options) => completions::run(settings, options).await,
        Load::Idle(options) => idle::run(settings, options).await,
        Load::Latency(options) => latency::run(settings, options).await,
        Load::Polls(options) => polls::run(settings, options).await,
        Load::Revocations(options) => revocations::run(settings, options).await,
        Load::Start(options) => start::run(settings, options).await,
        Load::Wakes(options) => wakes::run(settings, options).await,
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(rows) => {
            for row in &rows {
                println!("{row}");
            }
            ExitCode::from(u8::from(!rows.iter().all(Row::holds)))
        }
        Err(failure) => {
            eprintln!("{}", examples::one_line(&*failure));
            ExitCode::FAILURE
        }
    }
}
