//! From the start of a server to its readiness, where very many certificates are revoked.

use std::time::Instant;

use clap::Args;

use crate::Failure;
use crate::connection::{Connection, Prepared};
use crate::platform::{Platform, Settings};
use crate::process::{LOOK_AGAIN, PATIENCE};
use crate::report::{Bar, Row};
use crate::seed::Seed;
use crate::turn::median;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Certificates that are revoked and not expired.
    #[arg(long, default_value_t = 1_000_000)]
    revoked: u64,
    /// Starts.
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// A start may take so long, in seconds.
    #[arg(long, default_value_t = 2.0)]
    bar: f64,
}

pub(crate) async fn run(settings: Settings, options: Options) -> Result<Vec<Row>, Failure> {
    let mut platform = Platform::first_run(settings, 1).await?;
    platform.stop()?;
    Seed::Revocations.write(platform.database_url(), options.revoked)?;
    let mut times = Vec::new();
    for _ in 0..options.turns {
        let started = Instant::now();
        platform.start().await?;
        ready(&platform, started).await?;
        times.push(started.elapsed().as_secs_f64());
        platform.stop()?;
    }
    let what = format!(
        "start to readiness, {} revoked certificates",
        options.revoked
    );
    let bar = Bar::AtMost(options.bar);
    Ok(vec![Row::measured(what, median(times), " s", bar)])
}

/// Asks for readiness until the answer is yes.
async fn ready(platform: &Platform, started: Instant) -> Result<(), Failure> {
    let readyz = Prepared::get("/readyz")?;
    let mut connection = Connection::open(&platform.server()?.operations()).await?;
    while let Err(failure) = connection.send(&readyz).await?.must_be_ok() {
        if started.elapsed() > PATIENCE {
            return Err(failure);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}
