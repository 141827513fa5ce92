//! The identity platform's server. See `reference-server --help`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use reference_server::config::Config;
use reference_server::{StartError, cli, http};

/// The identity platform's server.
#[derive(Debug, Parser)]
#[command(version, about, long_about = None)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints the OpenAPI document.
    Openapi,
    /// Asks the running server whether it is ready; exits 0 if it is.
    Healthcheck,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    cli::conclude(run(arguments.command).await)
}

async fn run(command: Command) -> Result<(), StartError> {
    match command {
        Command::Openapi => cli::print(&http::openapi_text()?),
        Command::Healthcheck => cli::healthcheck(&Config::from_env()?).await,
    }
}
